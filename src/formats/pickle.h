// A pickle read as data: the opcodes with which torch.save writes a state_dict build numbers,
// strings, tuples, lists, dictionaries and descriptions of tensors. Nothing is called. Any other
// opcode, class or function is refused by its name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"
#include "tensor/dtype.h"

namespace ettin {

// A tensor as the pickle describes it. Nothing here has been compared with the storage.
struct PickledTensor {
  std::string name;
  Dtype dtype = Dtype::f32;
  std::string storage;  // key of the storage
  uint64_t storage_elements = 0;
  uint64_t offset = 0;  // in elements
  std::vector<uint64_t> shape;
  std::vector<uint64_t> strides;  // in elements; as many as dimensions
};

// The tensors of the dictionary that the pickle holds, in its order.
Result<std::vector<PickledTensor>> read_pickled_tensors(std::span<const std::byte> pickle,
                                                        std::string_view where);

}  // namespace ettin
