// A PyTorch zip archive (torch.save of a state_dict), read as data: nothing in it is executed.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "ettin/status.h"
#include "tensor/stored_tensor.h"

namespace ettin {

struct TorchFile {
  std::vector<StoredTensor> tensors;  // in the order of the state_dict
  std::shared_ptr<const void> owner;  // row-major copies of transposed tensors; may be null
};

// `where` names the file in messages. The tensors are views of `file` or of `owner`.
Result<TorchFile> parse_torch_file(std::span<const std::byte> file, std::string_view where);

}  // namespace ettin
