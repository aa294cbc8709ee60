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
};

enum class Function : uint8_t { ordered_dict, rebuild_tensor, rebuild_parameter, storage_type };

// Small, because one byte of a hostile pickle can build one.
struct Value {
  Kind kind = Kind::none;
  Function function = Function::ordered_dict;  // function
  Dtype dtype = Dtype::f32;                    // function storage_type, storage
  int64_t integer = 0;     // integer, boolean; storage: its elements; tensor: its place in the list
  std::string_view text;   // text; storage: its key; function: its name. Not owned.
  std::vector<Ref> items;  // tuple, list; dict, ordered_dict: key, value, key, value, ...
};

struct Tensor {
  Ref storage = 0;
  uint64_t offset = 0;
  std::vector<uint64_t> shape, strides;
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
  }
  return "?";
}

}  // namespace ettin::pickle
