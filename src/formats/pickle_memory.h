// The working memory of the pickle machine: values, stack, marks and memo, each with a limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/utf8.h"
#include "ettin/status.h"
#include "formats/byte_reader.h"
#include "formats/pickle_value.h"

namespace ettin::pickle {

constexpr size_t kMaxValues = 1'000'000;
constexpr size_t kMaxMarks = 1'000;

class Memory {
 protected:
  Memory(std::span<const std::byte> bytes, std::string_view where) : in_(bytes), where_(where) {}

  Status bad(std::string_view why) const {
    return Status(StatusCode::bad_data, fmt::format("{}: {} (pickle byte {})", where_, why, at_));
  }
  Status cut() const { return bad("the pickle ends inside an instruction"); }
  Status refuse(std::string_view what) const {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: refused to load {}: a model file may hold tensors only (pickle "
                              "byte {})",
                              where_, what, at_),
                  "save the state_dict alone, or convert the file to safetensors");
  }

  Status push_ref(Ref ref) {
    if (stack_.size() >= kMaxValues) return bad("the pickle stacks too many values");
    stack_.push_back(ref);
    return {};
  }
  Status push(Value value) {
    if (values_.size() >= kMaxValues) return bad("the pickle builds too many values");
    values_.push_back(std::move(value));
    return push_ref(static_cast<Ref>(values_.size() - 1));
  }
  Status push(Kind kind, int64_t integer = 0) {
    Value value;
    value.kind = kind;
    value.integer = integer;
    return push(std::move(value));
  }
  Status push_opaque(std::string_view what) {
    Value value;
    value.kind = Kind::opaque;
    value.text = what;
    return push(std::move(value));
  }
  // What comes of an opaque value: as opaque, and for the same reason.
  Status push_like(Ref opaque) { return push(Value(values_[opaque])); }
  Status push_text(std::optional<uint64_t> length) {
    const auto text = length ? in_.text(*length) : std::nullopt;
    if (!text) return cut();
    if (!is_valid_utf8(*text)) return push_opaque("a string that is not valid UTF-8");
    Value value;
    value.kind = Kind::text;
    value.text = *text;
    return push(std::move(value));
  }

  Status mark() {
    if (marks_.size() >= kMaxMarks) return bad("the pickle nests too many marks");
    marks_.push_back(stack_.size());
    return {};
  }

  // Values above the last mark.
  size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }
  size_t available() const { return stack_.size() - floor(); }
  Ref pop() {
    const Ref ref = stack_.back();
    stack_.pop_back();
    return ref;
  }
  Result<std::vector<Ref>> pop_to_mark() {
    if (marks_.empty()) return bad("an instruction needs a mark and there is none");
    std::vector<Ref> items(stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back()),
                           stack_.end());
    stack_.resize(marks_.back());
    marks_.pop_back();
    return items;
  }
  Status need(size_t count) const {
    return available() < count ? bad("an instruction needs more values than there are") : Status();
  }

  Status tuple(std::vector<Ref> items) {
    Value value;
    value.kind = Kind::tuple;
    value.items = std::move(items);
    return push(std::move(value));
  }
  Status short_tuple(size_t count) {
    ETTIN_RETURN_IF_ERROR(need(count));
    std::vector<Ref> items(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return tuple(std::move(items));
  }

  Status append(std::span<const Ref> items) {
    ETTIN_RETURN_IF_ERROR(need(1));
    Value& target = values_[stack_.back()];
    if (target.kind == Kind::opaque) return {};
    if (target.kind != Kind::list) return bad("an append to something that is not a list");
    target.items.insert(target.items.end(), items.begin(), items.end());
    return {};
  }
  Status set_items(std::span<const Ref> items) {
    ETTIN_RETURN_IF_ERROR(need(1));
    if (items.size() % 2 != 0) return bad("a key without a value");
    Value& target = values_[stack_.back()];
    if (target.kind == Kind::opaque) return {};
    if (target.kind != Kind::dict && target.kind != Kind::ordered_dict) {
      return bad("a key is set in something that is not a dictionary");
    }
    target.items.insert(target.items.end(), items.begin(), items.end());
    return {};
  }

  Status put(std::optional<uint64_t> slot) {
    if (!slot) return cut();
    ETTIN_RETURN_IF_ERROR(need(1));
    if (memo_.size() >= kMaxValues) return bad("the pickle remembers too many values");
    memo_[*slot] = stack_.back();
    return {};
  }
  Status get(std::optional<uint64_t> slot) {
    if (!slot) return cut();
    const auto it = memo_.find(*slot);
    if (it == memo_.end()) return bad(fmt::format("memo entry {} does not exist", *slot));
    return push_ref(it->second);
  }

  ByteReader in_;
  std::string_view where_;
  size_t at_ = 0;  // of the instruction, for messages
  std::vector<Value> values_;
  std::vector<Tensor> tensors_;
  std::vector<Ref> stack_;
  std::vector<size_t> marks_;  // stack heights
  std::unordered_map<uint64_t, Ref> memo_;
};

}  // namespace ettin::pickle
