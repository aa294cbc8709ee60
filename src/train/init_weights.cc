#include "train/init_weights.h"

#include <algorithm>
#include <cmath>
#include <string_view>

#include "base/check.h"
#include "base/rng.h"
#include "model/weights.h"

namespace ettin {
namespace {

constexpr double kSigma = 0.02;
constexpr double kCut = 2;        // in sigmas
constexpr uint64_t kTries = 128;  // 0.4^128 = 1e-51: the last one is never needed
constexpr int64_t kTaskElements = 1 << 14;

uint64_t stream_of(std::string_view name) {  // FNV-1a
  uint64_t h = 0xcbf29ce484222325u;
  for (const char c : name) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return h;
}

// By rejection: a uniform x is kept with the probability exp(-x^2 / 2). No digit depends on a
// mathematical library but through the comparison.
double truncated_normal(uint64_t seed, uint64_t stream, int64_t element) {
  const uint64_t base = static_cast<uint64_t>(element) * (2 * kTries);
  double x = 0;
  for (uint64_t i = 0; i < kTries; ++i) {
    x = kCut * (2 * random_uniform(seed, stream, base + 2 * i) - 1);
    if (random_uniform(seed, stream, base + 2 * i + 1) < std::exp(-x * x / 2)) break;
  }
  return x;
}

double sigma_of(const ModelConfig& config, const TensorSpec& spec) {
  const double residual = kSigma / std::sqrt(2.0 * static_cast<double>(config.num_layers));
  const std::string_view name = spec.name;
  if (name.ends_with("attn.Wo") || name.ends_with("mlp.Wo")) return residual;
  if (name == "head.dense" && config.head != Head::language_model) return residual;
  if (name == "classifier") return 1 / std::sqrt(static_cast<double>(config.hidden_size));
  return kSigma;
}

void fill(const View& view, double value) {
  for (int64_t i = 0; i < view.rows * view.cols; ++i) {
    if (view.dtype == Dtype::f32) {
      view.row<float>(0)[i] = static_cast<float>(value);
    } else {
      view.row<double>(0)[i] = value;
    }
  }
}

void fill_normal(uint64_t seed, const TensorSpec& spec, double sigma, ThreadPool& threads,
                 const View& view) {
  const uint64_t stream = stream_of(spec.name);
  const int64_t count = view.rows * view.cols;
  threads.parallel_for((count + kTaskElements - 1) / kTaskElements, [&](int64_t task, int) {
    const int64_t first = task * kTaskElements, last = std::min(count, first + kTaskElements);
    for (int64_t i = first; i < last; ++i) {
      const auto value = static_cast<float>(sigma * truncated_normal(seed, stream, i));
      if (view.dtype == Dtype::f32) {
        view.row<float>(0)[i] = value;
      } else {
        view.row<double>(0)[i] = value;
      }
    }
  });
}

}  // namespace

void init_weights(const ModelConfig& config, uint64_t seed, ThreadPool& threads,
                  Parameters* values) {
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, Parameter& slot) {
        ETTIN_CHECK(spec.tied || slot.weight.stride == slot.weight.cols);
        if (spec.is_norm) {
          fill(slot.weight, 1);
        } else if (!spec.tied) {
          fill_normal(seed, spec, sigma_of(config, spec), threads, slot.weight);
        }
        if (spec.bias) fill(slot.bias, 0);
      },
      *values);
}

}  // namespace ettin
