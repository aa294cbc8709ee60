// A model folder to a smaller one: the work of `ettin quantize`.
#pragma once

#include <string>

#include "base/json.h"
#include "ettin/ettin.h"
#include "ettin/status.h"
#include "tensor/weight_format.h"

namespace ettin {

struct QuantizeOptions {
  WeightFormat format = WeightFormat::q8;  // bf16, q8 or q4
  bool force = false;                      // replace a model folder that is at the target
  bool allow_extra_tensors = false;        // leave out what nothing uses, instead of an error
};

// Writes a model folder `to` with the matrices of `from` in a number format: model.safetensors as
// model/save.h says, config.json with "quantization_config" {"quant_method": "ettin", "format":
// "q8", "rotation": 64} (q4: without a rotation; bf16: with "torch_dtype" "bfloat16" instead), and
// copies of the small files beside them and of the module folders of sentence-transformers. Written
// aside and renamed: complete or absent.
//
// A `to` that exists must be an empty folder, or, with force, a folder that holds a model.
Status quantize_folder(const std::string& from, const std::string& to,
                       const QuantizeOptions& options);

}  // namespace ettin
