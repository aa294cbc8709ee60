// A model's files as the master weights of a training run.
#pragma once

#include <string>
#include <vector>

#include "formats/tensor_source.h"
#include "model/load.h"
#include "model/parameters.h"

namespace ettin {

// Every tensor of the config, widened; names, shapes and errors as build_network. `parameters` was
// made for the same config. A tied matrix that is stored apart and differs is an error.
Status read_parameters(const ModelConfig& config, const TensorSource& source,
                       const LoadOptions& options, Parameters* parameters,
                       std::vector<std::string>* warnings);

}  // namespace ettin
