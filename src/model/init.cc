#include <cmath>
#include <cstring>
#include <numbers>

#include "base/rng.h"
#include "model/load.h"

namespace ettin {
namespace {

uint64_t stream_of(std::string_view name) {  // FNV-1a
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

// Normal deviates by Box and Muller, two per pair of uniforms.
void fill_normal(uint64_t seed, uint64_t stream, float deviation, std::span<float> out) {
  for (size_t i = 0; i < out.size(); i += 2) {
    const double u = 1 - random_uniform(seed, stream, i), v = random_uniform(seed, stream, i + 1);
    const double r = deviation * std::sqrt(-2 * std::log(u)), angle = 2 * std::numbers::pi * v;
    out[i] = static_cast<float>(r * std::cos(angle));
    if (i + 1 < out.size()) out[i + 1] = static_cast<float>(r * std::sin(angle));
  }
}

}  // namespace

TensorSource random_tensors(const ModelConfig& config, uint64_t seed) {
  auto storage = std::make_shared<std::vector<std::vector<float>>>();
  std::vector<StoredTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<uint64_t> shape, auto fill) {
    size_t count = 1;
    for (const uint64_t d : shape) count *= d;
    storage->emplace_back(count);
    fill(std::span<float>(storage->back()));
    tensors.push_back(
        {name, Dtype::f32, std::move(shape), std::as_bytes(std::span(storage->back()))});
  };
  for_each_tensor(config, [&](const TensorSpec& spec) {
    const bool backbone = spec.name.starts_with("emb") || spec.name.starts_with("layers") ||
                          spec.name.starts_with("final");
    const std::string name = (backbone ? "model." : "") + spec.name;
    const auto rows = static_cast<uint64_t>(spec.rows), cols = static_cast<uint64_t>(spec.cols);
    if (spec.is_norm) {
      add(name + ".weight", {cols},
          [](std::span<float> v) { std::fill(v.begin(), v.end(), 1.0f); });
    } else if (!spec.tied) {
      add(name + ".weight", {rows, cols},
          [&](std::span<float> v) { fill_normal(seed, stream_of(spec.name), 0.02f, v); });
    }
    if (spec.bias) {
      add(name + ".bias", {spec.is_norm ? cols : rows},
          [](std::span<float> v) { std::fill(v.begin(), v.end(), 0.0f); });
    }
  });
  return TensorSource::from_tensors(std::move(tensors), storage, "random weights");
}

}  // namespace ettin
