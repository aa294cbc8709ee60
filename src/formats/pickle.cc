#include "formats/pickle.h"

#include <array>
#include <optional>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/utf8.h"
#include "formats/pickle_memory.h"

namespace ettin {
namespace {

using pickle::Function;
using pickle::Kind;
using pickle::Ref;
using pickle::Value;

constexpr size_t kMaxPickleBytes = size_t{16} << 20;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxNameBytes = 512;
constexpr size_t kMaxRank = 8;

struct Known {
  std::string_view name;
  Function function;
  Dtype dtype = Dtype::f32;
};

// Everything a pickle may name. Nothing here is executed: each is a description.
constexpr std::array<Known, 13> kKnown{{
    {"collections.OrderedDict", Function::ordered_dict},
    {"torch._utils._rebuild_tensor_v2", Function::rebuild_tensor},
    {"torch._utils._rebuild_parameter", Function::rebuild_parameter},
    {"torch.DoubleStorage", Function::storage_type, Dtype::f64},
    {"torch.FloatStorage", Function::storage_type, Dtype::f32},
    {"torch.HalfStorage", Function::storage_type, Dtype::f16},
    {"torch.BFloat16Storage", Function::storage_type, Dtype::bf16},
    {"torch.LongStorage", Function::storage_type, Dtype::i64},
    {"torch.IntStorage", Function::storage_type, Dtype::i32},
    {"torch.ShortStorage", Function::storage_type, Dtype::i16},
    {"torch.CharStorage", Function::storage_type, Dtype::i8},
    {"torch.ByteStorage", Function::storage_type, Dtype::u8},
    {"torch.BoolStorage", Function::storage_type, Dtype::boolean},
}};

class Machine : private pickle::Memory {
 public:
  Machine(std::span<const std::byte> bytes, std::string_view where) : Memory(bytes, where) {}

  Result<std::vector<PickledTensor>> run() {
    while (!stopped_) {
      at_ = in_.position();
      const auto opcode = in_.unsigned_le(1);
      if (!opcode) return bad("the pickle ends without a STOP");
      ETTIN_RETURN_IF_ERROR(step(static_cast<uint8_t>(*opcode)));
    }
    if (in_.left() != 0) return bad("bytes follow the end of the pickle");
    if (stack_.size() != 1 || !marks_.empty()) return bad("the pickle leaves more than one value");
    return collect(stack_.front());
  }

 private:
  Status global(std::string_view module, std::string_view name) {
    const std::string full =
        replace_invalid_utf8(fmt::format("{}.{}", module.substr(0, 200), name.substr(0, 200)));
    for (const Known& known : kKnown) {
      if (known.name != full) continue;
      Value value;
      value.kind = Kind::function;
      value.function = known.function;
      value.dtype = known.dtype;
      value.text = known.name;
      return push(std::move(value));
    }
    return refuse(full);
  }

  Status stack_global() {
    ETTIN_RETURN_IF_ERROR(need(2));
    const Value& name = values_[pop()];
    const Value& module = values_[pop()];
    if (name.kind != Kind::text || module.kind != Kind::text) {
      return bad("a name that is not a string");
    }
    return global(module.text, name.text);
  }

  Status persistent_id() {
    ETTIN_RETURN_IF_ERROR(need(1));
    const Value& id = values_[pop()];
    if (id.kind != Kind::tuple || id.items.size() != 5) {
      return bad("a persistent id that is not a storage");
    }
    const Value& tag = values_[id.items[0]];
    const Value& type = values_[id.items[1]];
    const Value& key = values_[id.items[2]];
    const Value& elements = values_[id.items[4]];
    if (tag.kind != Kind::text || tag.text != "storage" || type.kind != Kind::function ||
        type.function != Function::storage_type || key.kind != Kind::text ||
        elements.kind != Kind::integer || elements.integer < 0) {
      return bad("a persistent id that is not a storage");
    }
    if (!is_plain_file_name(key.text)) return bad("a storage with a refused key");
    Value storage;
    storage.kind = Kind::storage;
    storage.dtype = type.dtype;
    storage.text = key.text;
    storage.integer = elements.integer;
    return push(std::move(storage));
  }

  // A tuple of at most kMaxRank non-negative integers.
  Result<std::vector<uint64_t>> dimensions(const Value& value, std::string_view what) const {
    if (value.kind != Kind::tuple) return bad(fmt::format("the {} of a tensor is no tuple", what));
    if (value.items.size() > kMaxRank) {
      return bad(fmt::format("the {} of a tensor has {} dimensions; at most {} are read", what,
                             value.items.size(), kMaxRank));
    }
    std::vector<uint64_t> out;
    for (const Ref item : value.items) {
      if (values_[item].kind != Kind::integer || values_[item].integer < 0) {
        return bad(fmt::format("the {} of a tensor holds something else than a size", what));
      }
      out.push_back(static_cast<uint64_t>(values_[item].integer));
    }
    return out;
  }

  bool is_empty_dict(Ref ref) const {
    const Value& value = values_[ref];
    return (value.kind == Kind::dict || value.kind == Kind::ordered_dict) && value.items.empty();
  }

  // (storage, offset, shape, strides, requires_grad, backward_hooks[, metadata])
  Status rebuild_tensor(const std::vector<Ref>& args) {
    if (args.size() != 6 && args.size() != 7) return bad("a tensor with a wrong argument count");
    const Value& storage = values_[args[0]];
    const Value& offset = values_[args[1]];
    if (storage.kind != Kind::storage) return bad("a tensor without a storage");
    if (offset.kind != Kind::integer || offset.integer < 0) {
      return bad("a tensor without an offset");
    }
    pickle::Tensor tensor;
    tensor.storage = args[0];
    tensor.offset = static_cast<uint64_t>(offset.integer);
    ETTIN_ASSIGN_OR_RETURN(tensor.shape, dimensions(values_[args[2]], "shape"));
    ETTIN_ASSIGN_OR_RETURN(tensor.strides, dimensions(values_[args[3]], "strides"));
    if (tensor.shape.size() != tensor.strides.size()) {
      return bad("a tensor with more strides than dimensions or fewer");
    }
    for (size_t i = 5; i < args.size(); ++i) {
      if (values_[args[i]].kind != Kind::none && !is_empty_dict(args[i])) {
        return refuse("a tensor with hooks or metadata");
      }
    }
    if (tensors_.size() >= kMaxTensors) {
      return bad(fmt::format("more than {} tensors", kMaxTensors));
    }
    tensors_.push_back(std::move(tensor));
    return push(Kind::tensor, static_cast<int64_t>(tensors_.size() - 1));
  }

  Status reduce() {
    ETTIN_RETURN_IF_ERROR(need(2));
    const Ref args_ref = pop();
    const Ref callee_ref = pop();
    const Value& callee = values_[callee_ref];
    if (values_[args_ref].kind != Kind::tuple) return bad("a call without a tuple of arguments");
    const std::vector<Ref> args = values_[args_ref].items;
    if (callee.kind != Kind::function) return refuse("a call of something that is not a function");
    switch (callee.function) {
      case Function::ordered_dict:
        if (!args.empty()) return refuse("collections.OrderedDict with arguments");
        return push(Kind::ordered_dict);
      case Function::rebuild_tensor:
        return rebuild_tensor(args);
      case Function::rebuild_parameter:
        if (args.size() != 3 || values_[args[0]].kind != Kind::tensor) {
          return bad("a parameter without a tensor");
        }
        return push_ref(args[0]);
      case Function::storage_type:
        break;
    }
    return refuse(fmt::format("a call of {}", callee.text));
  }

  // torch.save writes the versions of the modules, "_metadata", as the state of the dictionary.
  Status build() {
    ETTIN_RETURN_IF_ERROR(need(2));
    const Value& state = values_[pop()];
    const Value& target = values_[stack_.back()];
    if (target.kind != Kind::ordered_dict || state.kind != Kind::dict) {
      return refuse(fmt::format("state for {}", pickle::kind_name(target.kind)));
    }
    for (size_t i = 0; i < state.items.size(); i += 2) {
      const Value& key = values_[state.items[i]];
      if (key.kind == Kind::text && key.text == "_metadata") continue;
      return refuse("an attribute of collections.OrderedDict other than _metadata");
    }
    return {};
  }

  Status integer_le(size_t width, bool is_signed) {
    const auto raw = in_.unsigned_le(width);
    if (!raw) return cut();
    uint64_t value = *raw;
    if (is_signed && width > 0 && width < 8 && ((value >> (8 * width - 1)) & 1) != 0) {
      value |= ~uint64_t{0} << (8 * width);
    }
    return push(Kind::integer, static_cast<int64_t>(value));
  }

  Status long1() {
    const auto width = in_.unsigned_le(1);
    if (!width) return cut();
    if (*width > 8) return bad("an integer beyond 64 bits");
    if (*width == 0) return push(Kind::integer, 0);
    return integer_le(static_cast<size_t>(*width), true);
  }

  Status step(uint8_t opcode);
  Result<std::vector<PickledTensor>> collect(Ref root) const;

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
      return long1();
    case 'G':
      return in_.take(8) ? push(Kind::floating) : cut();
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
    case 'c': {
      const auto module = in_.line();
      const auto name = module ? in_.line() : std::nullopt;
      return name ? global(*module, *name) : cut();
    }
    case 0x93:
      return stack_global();
    case 'R':
      return reduce();
    case 'b':
      return build();
    case 'Q':
      return persistent_id();
    default:
      return refuse(fmt::format("the pickle instruction 0x{:02x}", opcode));
  }
}

Result<std::vector<PickledTensor>> Machine::collect(Ref root) const {
  const auto bad_file = [&](std::string_view why) {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where_, why),
                  "the file should be a state_dict: a dictionary of tensors");
  };
  const Value& dict = values_[root];
  if (dict.kind != Kind::dict && dict.kind != Kind::ordered_dict) {
    return bad_file(fmt::format("holds {}, not a dictionary", pickle::kind_name(dict.kind)));
  }
  std::vector<PickledTensor> out;
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    const Value& name = values_[dict.items[i]];
    const Value& value = values_[dict.items[i + 1]];
    if (name.kind != Kind::text) {
      return bad_file(fmt::format("a tensor name is {}", pickle::kind_name(name.kind)));
    }
    if (name.text.empty() || name.text.size() > kMaxNameBytes ||
        name.text.find('\0') != std::string_view::npos) {
      return bad_file(fmt::format("refused tensor name \"{:.40}\"", name.text));
    }
    if (!names.insert(name.text).second) {
      return bad_file(fmt::format("tensor \"{}\" occurs twice", name.text));
    }
    if (value.kind != Kind::tensor) {
      return bad_file(
          fmt::format("\"{}\" is {}, not a tensor", name.text, pickle::kind_name(value.kind)));
    }
    const pickle::Tensor& tensor = tensors_[static_cast<size_t>(value.integer)];
    const Value& storage = values_[tensor.storage];
    out.push_back({std::string(name.text), storage.dtype, std::string(storage.text),
                   static_cast<uint64_t>(storage.integer), tensor.offset, tensor.shape,
                   tensor.strides});
  }
  return out;
}

}  // namespace

Result<std::vector<PickledTensor>> read_pickled_tensors(std::span<const std::byte> pickle,
                                                        std::string_view where) {
  if (pickle.size() > kMaxPickleBytes) {
    return Status(StatusCode::resource_limit,
                  fmt::format("{}: a pickle of {} bytes; at most {} are read", where, pickle.size(),
                              kMaxPickleBytes));
  }
  return Machine(pickle, where).run();
}

}  // namespace ettin
