// The weights of an ONNX file under Hugging Face's names, found without looking at its own names:
// by operator, order, shape and data flow. Exporters of every kind are read so: tracing (standard
// operators), builders (com.microsoft operators, separate q, k, v), dynamo ([out, in] weights
// behind a Transpose), in fp32, fp16, 4-bit and 8-bit blocks, dynamic int8 and DequantizeLinear.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ettin/status.h"
#include "formats/graph_facts.h"
#include "tensor/stored_tensor.h"

namespace ettin::onnx {

struct Imported {
  std::vector<StoredTensor> tensors;
  GraphFacts facts;
  std::vector<std::string> files;  // that were read
  std::vector<std::shared_ptr<const void>> owners;
};

// Names: as transformers has them; of an MLP whose two halves are apart or change places,
// mlp.activated_proj and mlp.gate_proj instead of mlp.Wi. decoder.weight is there also when it is
// the embedding. An unknown operator, a weight that no rule places and a large tensor that nothing
// reads are errors that name them.
Result<Imported> import_onnx(const std::string& path);

}  // namespace ettin::onnx
