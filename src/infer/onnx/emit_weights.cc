// The operations of the emitter that read weights, in each number format.
#include <fmt/format.h>

#include "base/check.h"
#include "infer/onnx/emitter.h"
#include "tensor/quantize.h"

namespace ettin {
namespace {

constexpr const char* kEmbedding = "embeddings.tok_embeddings";

// The published name, so that who looks at a graph finds what config.json talks about.
std::string base_name(const ModelConfig& config, const std::string& tensor, OnnxPart part) {
  const bool in_backbone = tensor.starts_with("embeddings.") || tensor.starts_with("layers.") ||
                           tensor.starts_with("final_norm");
  std::string name = (in_backbone && config.head != Head::none ? "model." : "") + tensor;
  if (part.count > 1) name.replace(name.rfind('.') + 1, std::string::npos, part.role);
  return name;
}

}  // namespace

const FoundTensor& OnnxEmitter::found(const std::string& tensor) const {
  const auto at = plan_.find(tensor);
  ETTIN_CHECK(at != plan_.end());
  return *at->second;
}

bool OnnxEmitter::shares_embedding(const FoundTensor& found) const {
  return found.spec.tied && !found.differs_from_embedding;
}

OnnxName OnnxEmitter::embed(const OnnxName& ids) {
  const FoundTensor& e = found(kEmbedding);
  const MatrixRows m{e.blocks, 0, e.spec.rows};
  const std::string name = base_name(config(), kEmbedding, {}) + ".weight";
  if (format_.format == OnnxFormat::q8) {
    write([&] { return weights_.q8_rows(name, m); });
    const int8_t zero = 0;
    const OnnxName zero_point =
        constant("int8_zero", OnnxType::i8, {}, std::as_bytes(std::span(&zero, 1)));
    return op("DequantizeLinear",
              {op("Gather", {name + "_quantized", ids}), name + "_scale", zero_point});
  }
  // A row of the table must be whole blocks.
  embedding_in_q4_ = format_.four_bits && fused() && m.cols() % kQ4Block == 0;
  if (!embedding_in_q4_) {
    write([&] { return weights_.rows(name, m, type()); });
    return op("Gather", {name, ids});
  }
  write([&] { return weights_.q4(name, m, type()); });
  const OnnxName table = reshape(name + "_Q4", {m.rows, m.cols() / 2});
  return microsoft("GatherBlockQuantized", {table, ids, name + "_scales"},
                   {{"bits", int64_t{4}},
                    {"block_size", kQ4Block},
                    {"gather_axis", int64_t{0}},
                    {"quantize_axis", int64_t{1}}});
}

std::vector<OnnxName> OnnxEmitter::norm_weights(const std::string& tensor) {
  const FoundTensor& f = found(tensor);
  const std::string name = base_name(config(), tensor, {});
  const int64_t cols = f.spec.cols;
  write([&] { return weights_.vector(name + ".weight", std::array{f.gain}, 0, cols, type()); });
  if (!f.spec.bias) return {name + ".weight"};
  write([&] { return weights_.vector(name + ".bias", f.bias_blocks, 0, cols, type()); });
  return {name + ".weight", name + ".bias"};
}

OnnxName OnnxEmitter::norm(const OnnxName& x, const std::string& tensor) {
  std::vector<OnnxName> inputs = norm_weights(tensor);
  inputs.insert(inputs.begin(), x);
  return op("LayerNormalization", inputs, {{"axis", int64_t{-1}}, {"epsilon", config().norm_eps}});
}

OnnxName OnnxEmitter::linear(const OnnxName& x, const std::string& tensor, OnnxPart part) {
  const FoundTensor& f = found(tensor);
  const int64_t rows = f.spec.rows / part.count, first = rows * part.index;
  const std::string name = base_name(config(), tensor, part);
  const bool shared = shares_embedding(f);
  const MatrixRows m{shared ? found(kEmbedding).blocks : f.blocks, first, rows};
  OnnxName y;
  if (format_.format == OnnxFormat::q8) {
    y = matmul_q8(x, name + ".weight", m);
  } else if (shared) {
    y = tied(x);
  } else if (format_.four_bits) {
    y = matmul_q4(x, name + ".weight", m);
  } else {
    y = matmul(x, name + ".weight", m);
  }
  if (!f.spec.bias) return y;
  write([&] { return weights_.vector(name + ".bias", f.bias_blocks, first, rows, type()); });
  return op("Add", {y, name + ".bias"});
}

OnnxName OnnxEmitter::matmul(const OnnxName& x, const std::string& name, const MatrixRows& m) {
  write([&] { return weights_.transposed(name, m, type()); });
  return op("MatMul", {x, name});
}

// The head of a tied model reads the embedding's tensor; runtimes transpose it once, at load.
OnnxName OnnxEmitter::tied(const OnnxName& x) {
  const FoundTensor& e = found(kEmbedding);
  const std::string name = base_name(config(), kEmbedding, {}) + ".weight";
  if (embedding_in_q4_) return matmul_q4(x, name, {e.blocks, 0, e.spec.rows});
  const OnnxName columns = op("Transpose", {name}, {{"perm", std::vector<int64_t>{1, 0}}});
  return op("MatMul", {x, columns});
}

OnnxName OnnxEmitter::matmul_q4(const OnnxName& x, const std::string& name, const MatrixRows& m) {
  const bool written = embedding_in_q4_ && m.blocks.data() == found(kEmbedding).blocks.data();
  if (!written) write([&] { return weights_.q4(name, m, type()); });
  return microsoft(
      "MatMulNBits", {x, name + "_Q4", name + "_scales"},
      {{"K", m.cols()}, {"N", m.rows}, {"bits", int64_t{4}}, {"block_size", kQ4Block}});
}

const OnnxEmitter::Dynamic& OnnxEmitter::dynamic(const OnnxName& x) {
  const auto [at, added] = dynamic_.try_emplace(x);
  if (added) {
    at->second = {x + "_quantized", x + "_scale", x + "_zero_point"};
    node("DynamicQuantizeLinear", kOnnxDomain, {x},
         {at->second.bytes, at->second.scale, at->second.zero});
  }
  return at->second;
}

OnnxName OnnxEmitter::matmul_q8(const OnnxName& x, const std::string& name, const MatrixRows& m) {
  write([&] { return weights_.q8_columns(name, m); });
  const Dynamic& d = dynamic(x);
  const OnnxName sums = op("MatMulInteger", {d.bytes, name + "_quantized", d.zero});
  const OnnxName scale = op("Mul", {d.scale, name + "_scale"});
  return op("Mul", {cast(sums, OnnxType::f32), scale});
}

}  // namespace ettin
