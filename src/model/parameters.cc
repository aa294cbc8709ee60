#include "model/parameters.h"

#include <cstring>

#include "backend/shapes.h"
#include "model/weights.h"

namespace ettin {
namespace {

constexpr int64_t kAlignment = 64;  // bytes

}  // namespace

Parameters make_parameters(const ModelConfig& config, Dtype dtype) {
  Parameters p;
  p.dtype = dtype;
  p.layers.resize(static_cast<size_t>(config.num_layers));
  const auto element = static_cast<int64_t>(dtype_bytes(dtype));
  // Sizes first, then places: views point into one buffer.
  int64_t bytes = 0;
  const auto place = [&](int64_t rows, int64_t cols) {
    const int64_t at = bytes;
    bytes += round_up(rows * cols * element, kAlignment);
    p.count += rows * cols;
    return View{reinterpret_cast<std::byte*>(at), dtype, rows, cols, cols};
  };
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, Parameter& slot) {
        if (!spec.tied) slot.weight = place(spec.rows, spec.cols);
        if (spec.bias) slot.bias = place(1, spec.is_norm ? spec.cols : spec.rows);
      },
      p);
  p.data = std::make_shared<Buffer>(static_cast<size_t>(bytes));
  std::memset(p.data->data(), 0, p.data->size());
  const auto anchor = [&](View& view) {
    if (view.rows > 0) view.data = p.data->data() + reinterpret_cast<intptr_t>(view.data);
  };
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, Parameter& slot) {
        if (spec.tied) slot.weight = p.token_embedding.weight;
        if (!spec.tied) anchor(slot.weight);
        anchor(slot.bias);
      },
      p);
  return p;
}

}  // namespace ettin
