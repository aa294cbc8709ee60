// What the pickle machine makes of names and calls: dictionaries, storages, tensors; of everything
// else opaque values.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "formats/pickle_memory.h"

namespace ettin::pickle {

constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxRank = 8;

struct Known {
  std::string_view name;
  Function function;
  Dtype dtype = Dtype::f32;
};

// Everything a pickle may name. Nothing here is executed: each is a description.
inline constexpr std::array<Known, 13> kKnown{{
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

class Objects : protected Memory {
 protected:
  Objects(std::span<const std::byte> bytes, std::string_view where) : Memory(bytes, where) {}

  // Null: not on the list.
  static const Known* find_known(std::string_view module, std::string_view name) {
    for (const Known& known : kKnown) {
      if (known.name.size() == module.size() + 1 + name.size() && known.name.starts_with(module) &&
          known.name[module.size()] == '.' && known.name.ends_with(name)) {
        return &known;
      }
    }
    return nullptr;
  }

  Status push_known(const Known& known) {
    Value value;
    value.kind = Kind::function;
    value.function = known.function;
    value.dtype = known.dtype;
    value.text = known.name;
    return push(std::move(value));
  }

  Status global() {
    const auto module = in_.line();
    const auto name = module ? in_.line() : std::nullopt;
    if (!name) return cut();
    if (const Known* known = find_known(*module, *name)) return push_known(*known);
    // Both lines as they stand in the pickle, one newline between them.
    return push_opaque({module->data(), module->size() + 1 + name->size()});
  }

  Status stack_global() {
    ETTIN_RETURN_IF_ERROR(need(2));
    const Ref name = pop();
    const Ref module = pop();
    if (values_[name].kind != Kind::text || values_[module].kind != Kind::text) {
      return bad("a name that is not a string");
    }
    if (const Known* known = find_known(values_[module].text, values_[name].text)) {
      return push_known(*known);
    }
    Value value;
    value.kind = Kind::opaque;
    value.items = {module, name};
    return push(std::move(value));
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
    if (type.kind == Kind::opaque) return push_like(id.items[1]);
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
    if (storage.kind == Kind::opaque) return push_like(args[0]);
    if (storage.kind != Kind::storage) return bad("a tensor without a storage");
    if (offset.kind != Kind::integer || offset.integer < 0) {
      return bad("a tensor without an offset");
    }
    Tensor tensor;
    tensor.storage = args[0];
    tensor.offset = static_cast<uint64_t>(offset.integer);
    ETTIN_ASSIGN_OR_RETURN(tensor.shape, dimensions(values_[args[2]], "shape"));
    ETTIN_ASSIGN_OR_RETURN(tensor.strides, dimensions(values_[args[3]], "strides"));
    if (tensor.shape.size() != tensor.strides.size()) {
      return bad("a tensor with more strides than dimensions or fewer");
    }
    for (size_t i = 5; i < args.size(); ++i) {
      if (values_[args[i]].kind != Kind::none && !is_empty_dict(args[i])) {
        return push_opaque("a tensor with hooks or metadata");
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
    if (callee.kind == Kind::opaque) return push_like(callee_ref);
    if (callee.kind != Kind::function) return refuse("a call of something that is not a function");
    switch (callee.function) {
      case Function::ordered_dict:
        if (!args.empty()) return refuse("collections.OrderedDict with arguments");
        return push(Kind::ordered_dict);
      case Function::rebuild_tensor:
        return rebuild_tensor(args);
      case Function::rebuild_parameter:
        if (args.size() == 3 && values_[args[0]].kind == Kind::opaque) return push_like(args[0]);
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
    Value& target = values_[stack_.back()];
    if (target.kind == Kind::opaque) return {};
    if (target.kind != Kind::ordered_dict || state.kind != Kind::dict) {
      return refuse(fmt::format("state for {}", kind_name(target.kind)));
    }
    for (size_t i = 0; i < state.items.size(); i += 2) {
      const Value& key = values_[state.items[i]];
      if (key.kind == Kind::text && key.text == "_metadata") continue;
      target = Value();
      target.kind = Kind::opaque;
      target.text = "an attribute of collections.OrderedDict other than _metadata";
      return {};
    }
    return {};
  }
};

}  // namespace ettin::pickle
