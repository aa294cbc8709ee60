// The tensors of a model in a pickle: those of a state_dict, or of one that a training checkpoint
// holds among optimizers, schedulers and whatever else a trainer saves.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
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

struct PickledModel {
  std::vector<PickledTensor> tensors;  // in the order of the dictionary
  std::string inside;  // the keys that lead to the dictionary, "state.model"; empty: the whole file
  // What a training checkpoint says beside its tensors, as far as it is plain data of a natural
  // size; null when absent: state.integrations.huggingface.model.config, and state.timestamp.
  Json config, timestamp;
};

// The dictionary of tensors is state.model (Composer), state_dict, model_state_dict or model where
// there is one, else the whole pickle. Everything beside it may be anything; inside it all but
// tensors under names is an error.
Result<PickledModel> read_pickled_model(std::span<const std::byte> pickle, std::string_view where);

}  // namespace ettin
