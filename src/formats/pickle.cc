#include "formats/pickle.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/utf8.h"
#include "formats/pickle_objects.h"

namespace ettin {
namespace {

using pickle::Kind;
using pickle::Ref;
using pickle::Value;

constexpr size_t kMaxPickleBytes = size_t{16} << 20;

class Machine : private pickle::Objects {
 public:
  Machine(std::span<const std::byte> bytes, std::string_view where) : Objects(bytes, where) {}

  Result<pickle::Document> run() {
    while (!stopped_) {
      at_ = in_.position();
      const auto opcode = in_.unsigned_le(1);
      if (!opcode) return bad("the pickle ends without a STOP");
      ETTIN_RETURN_IF_ERROR(step(static_cast<uint8_t>(*opcode)));
    }
    if (in_.left() != 0) return bad("bytes follow the end of the pickle");
    if (stack_.size() != 1 || !marks_.empty()) return bad("the pickle leaves more than one value");
    return pickle::Document{std::move(values_), std::move(tensors_), stack_.front()};
  }

 private:
  Status integer_le(size_t width, bool is_signed) {
    const auto raw = in_.unsigned_le(width);
    if (!raw) return cut();
    uint64_t value = *raw;
    if (is_signed && width > 0 && width < 8 && ((value >> (8 * width - 1)) & 1) != 0) {
      value |= ~uint64_t{0} << (8 * width);
    }
    return push(Kind::integer, static_cast<int64_t>(value));
  }

  Status long_integer(std::optional<uint64_t> width) {
    if (!width) return cut();
    if (*width > 8) return in_.take(*width) ? push_opaque("an integer beyond 64 bits") : cut();
    if (*width == 0) return push(Kind::integer, 0);
    return integer_le(static_cast<size_t>(*width), true);
  }

  Status bytes(std::optional<uint64_t> length) {
    return length && in_.take(*length) ? push_opaque("bytes") : cut();
  }

  // The class is below the `arguments` values on the stack.
  Status new_object(size_t arguments) {
    ETTIN_RETURN_IF_ERROR(need(arguments + 1));
    stack_.resize(stack_.size() - (arguments - 1));
    return reduce();
  }

  Status frozen_set() {
    ETTIN_RETURN_IF_ERROR(pop_to_mark().status());
    return push_opaque("a set");
  }

  // Items of a set.
  Status add_items() {
    ETTIN_RETURN_IF_ERROR(pop_to_mark().status());
    ETTIN_RETURN_IF_ERROR(need(1));
    if (values_[stack_.back()].kind == Kind::opaque) return {};
    return bad("items are added to something that is not a set");
  }

  Status floating() {
    const auto raw = in_.take(8);
    if (!raw) return cut();
    uint64_t bits = 0;  // big-endian
    for (const std::byte b : *raw) bits = (bits << 8) | static_cast<uint64_t>(b);
    return push(Kind::floating, static_cast<int64_t>(bits));
  }

  Status step(uint8_t opcode);

  bool stopped_ = false;
};

Status Machine::step(uint8_t opcode) {
  switch (opcode) {
    case 0x80: {  // PROTO
      const auto version = in_.unsigned_le(1);
      if (!version) return cut();
      if (*version < 2 || *version > 5 || at_ != 0) {
        return bad(fmt::format("pickle protocol {}", *version));
      }
      return {};
    }
    case 0x95: {  // FRAME
      const auto length = in_.unsigned_le(8);
      if (!length) return cut();
      return *length > in_.left() ? bad("a frame longer than the pickle") : Status();
    }
    case '(':
      return mark();
    case '.':
      stopped_ = true;
      return {};
    case '0':
      ETTIN_RETURN_IF_ERROR(need(1));
      stack_.pop_back();
      return {};
    case '1':
      return pop_to_mark().status();
    case '}':
      return push(Kind::dict);
    case ']':
      return push(Kind::list);
    case ')':
      return push(Kind::tuple);
    case 't': {
      ETTIN_ASSIGN_OR_RETURN(auto items, pop_to_mark());
      return tuple(std::move(items));
    }
    case 0x85:
      return short_tuple(1);
    case 0x86:
      return short_tuple(2);
    case 0x87:
      return short_tuple(3);
    case 's': {
      ETTIN_RETURN_IF_ERROR(need(3));
      const Ref value = pop();
      const Ref key = pop();
      return set_items(std::array{key, value});
    }
    case 'u': {
      ETTIN_ASSIGN_OR_RETURN(const auto items, pop_to_mark());
      return set_items(items);
    }
    case 'a': {
      ETTIN_RETURN_IF_ERROR(need(2));
      return append(std::array{pop()});
    }
    case 'e': {
      ETTIN_ASSIGN_OR_RETURN(const auto items, pop_to_mark());
      return append(items);
    }
    case 'N':
      return push(Kind::none);
    case 0x88:
      return push(Kind::boolean, 1);
    case 0x89:
      return push(Kind::boolean, 0);
    case 'J':
      return integer_le(4, true);
    case 'K':
      return integer_le(1, false);
    case 'M':
      return integer_le(2, false);
    case 0x8a:
      return long_integer(in_.unsigned_le(1));
    case 0x8b:
      return long_integer(in_.unsigned_le(4));
    case 'G':
      return floating();
    case 'C':
      return bytes(in_.unsigned_le(1));
    case 'B':
      return bytes(in_.unsigned_le(4));
    case 0x8e:
    case 0x96:
      return bytes(in_.unsigned_le(8));
    case 0x8f:
      return push_opaque("a set");
    case 0x90:
      return add_items();
    case 0x91:
      return frozen_set();
    case 'X':
      return push_text(in_.unsigned_le(4));
    case 0x8c:
      return push_text(in_.unsigned_le(1));
    case 0x8d:
      return push_text(in_.unsigned_le(8));
    case 'q':
      return put(in_.unsigned_le(1));
    case 'r':
      return put(in_.unsigned_le(4));
    case 0x94:
      return put(memo_.size());
    case 'h':
      return get(in_.unsigned_le(1));
    case 'j':
      return get(in_.unsigned_le(4));
    case 'c':
      return global();
    case 0x93:
      return stack_global();
    case 'R':
      return reduce();
    case 0x81:
      return new_object(1);
    case 0x92:
      return new_object(2);
    case 'b':
      return build();
    case 'Q':
      return persistent_id();
    default:
      return refuse(fmt::format("the pickle instruction 0x{:02x}", opcode));
  }
}

}  // namespace

Result<pickle::Document> read_pickle(std::span<const std::byte> bytes, std::string_view where) {
  if (bytes.size() > kMaxPickleBytes) {
    return Status(StatusCode::resource_limit,
                  fmt::format("{}: a pickle of {} bytes; at most {} are read", where, bytes.size(),
                              kMaxPickleBytes));
  }
  return Machine(bytes, where).run();
}

std::string opaque_name(const pickle::Document& document, const Value& value) {
  constexpr size_t kShown = 200;
  if (value.items.size() == 2) {
    return replace_invalid_utf8(
        fmt::format("{}.{}", document.values[value.items[0]].text.substr(0, kShown),
                    document.values[value.items[1]].text.substr(0, kShown)));
  }
  std::string name = replace_invalid_utf8(value.text.substr(0, 2 * kShown));
  std::replace(name.begin(), name.end(), '\n', '.');
  return name;
}

}  // namespace ettin
