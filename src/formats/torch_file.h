// A PyTorch zip archive (torch.save of a state_dict, or of a training checkpoint that holds one),
// read as data: nothing in it is executed.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "ettin/status.h"
#include "tensor/stored_tensor.h"

namespace ettin {

struct TorchFile {
  std::vector<StoredTensor> tensors;  // in the order of the state_dict
  std::shared_ptr<const void> owner;  // row-major copies of transposed tensors; may be null
  std::string inside;                 // where the state_dict is in a checkpoint: "state.model"
  Json config, timestamp;             // of a checkpoint, or null: formats/state_dict.h
};

// `where` names the file in messages. The tensors are views of `file` or of `owner`.
Result<TorchFile> parse_torch_file(std::span<const std::byte> file, std::string_view where);

}  // namespace ettin
