// The values that the pickle machine builds. They live in one vector and refer to each other by
// index, so a value that contains itself is harmless and nothing is freed recursively.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "tensor/dtype.h"

namespace ettin::pickle {

using Ref = uint32_t;

enum class Kind : uint8_t {
  none,
  boolean,
  integer,
  floating,
  text,
  tuple,
  list,
  dict,
  ordered_dict,
  function,  // a name of the closed list below
  storage,
  tensor,
  opaque,  // anything that a model's tensors cannot be made of: carried along, never looked into
};

enum class Function : uint8_t { ordered_dict, rebuild_tensor, rebuild_parameter, storage_type };

// Small, because one byte of a hostile pickle can build one.
struct Value {
  Kind kind = Kind::none;
  Function function = Function::ordered_dict;  // function
  Dtype dtype = Dtype::f32;                    // function storage_type, storage
  // integer, boolean; floating: its bits; storage: its elements; tensor: its place in the list
  int64_t integer = 0;
  // text; storage: its key; function: its name; opaque: "module\nname", or what it is. Not owned.
  std::string_view text;
  // tuple, list; dict, ordered_dict: key, value, key, value, ...; opaque: module and name, or none
  std::vector<Ref> items;
};

struct Tensor {
  Ref storage = 0;
  uint64_t offset = 0;
  std::vector<uint64_t> shape, strides;
};

// What a pickle builds.
struct Document {
  std::vector<Value> values;
  std::vector<Tensor> tensors;
  Ref root = 0;
};

constexpr std::string_view kind_name(Kind kind) {
  switch (kind) {
    case Kind::none:
      return "None";
    case Kind::boolean:
      return "a boolean";
    case Kind::integer:
      return "an integer";
    case Kind::floating:
      return "a float";
    case Kind::text:
      return "a string";
    case Kind::tuple:
      return "a tuple";
    case Kind::list:
      return "a list";
    case Kind::dict:
    case Kind::ordered_dict:
      return "a dictionary";
    case Kind::function:
      return "a function";
    case Kind::storage:
      return "a storage";
    case Kind::tensor:
      return "a tensor";
    case Kind::opaque:
      return "an object";
  }
  return "?";
}

}  // namespace ettin::pickle
