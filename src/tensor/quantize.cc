#include "tensor/quantize.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>

#include "base/check.h"
#include "base/half.h"

namespace ettin {
namespace {

// Adding and taking away 1.5 * 2^23 rounds to nearest even, and the compiler can vectorise it.
float round_small(float x) {
  constexpr float kMagic = 12582912.0f;
  return (x + kMagic) - kMagic;
}

// Scales tried, as shares of the one that maps the largest element to -8 exactly.
constexpr std::array<float, 5> kShares = {1.0f, 0.95f, 0.9f, 0.85f, 1.06f};

float to_level(float x, float inverse) {
  return std::min(15.0f, std::max(0.0f, round_small(x * inverse) + float{kQ4Zero}));
}

float inverse_of(float scale) { return scale != 0 ? 1.0f / scale : 0.0f; }

// Squared error of one block under one scale.
float block_error(std::span<const float> x, float scale) {
  const float inverse = inverse_of(scale);
  std::array<float, kQ4Block> error = {};
  for (size_t i = 0; i < x.size(); ++i) {
    const float e = x[i] - scale * (to_level(x[i], inverse) - float{kQ4Zero});
    error[i] = e * e;
  }
  float sum = 0;
  for (const float e : error) sum += e;
  return sum;
}

}  // namespace

float quantize_q8(std::span<const float> x, std::span<int8_t> out) {
  ETTIN_CHECK(x.size() == out.size());
  // Magnitudes compare like the integers of their bits, which compilers can vectorise.
  int32_t most_bits = 0;
  for (const float v : x) {
    most_bits = std::max(most_bits, std::bit_cast<int32_t>(v) & 0x7fffffff);
  }
  constexpr int32_t kInfinity = 0x7f800000;
  const bool usable = most_bits > 0 && most_bits < kInfinity;
  if (!usable) {
    std::fill(out.begin(), out.end(), int8_t{0});
    return most_bits == 0 ? 0.0f : NAN;
  }
  const float most = std::bit_cast<float>(most_bits), inverse = 127.0f / most;
  for (size_t i = 0; i < x.size(); ++i) {
    const float level = round_small(x[i] * inverse);
    out[i] = static_cast<int8_t>(static_cast<int32_t>(std::min(127.0f, std::max(-127.0f, level))));
  }
  return most / 127.0f;
}

void quantize_q4(std::span<const float> x, std::span<uint8_t> nibbles, std::span<uint16_t> scales) {
  const auto blocks = static_cast<size_t>(q4_blocks(static_cast<int64_t>(x.size())));
  ETTIN_CHECK(nibbles.size() == x.size() && scales.size() == blocks);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t first = b * kQ4Block, n = std::min<size_t>(kQ4Block, x.size() - first);
    const auto block = x.subspan(first, n);
    float extreme = 0;
    for (const float v : block) {
      if (std::fabs(v) > std::fabs(extreme)) extreme = v;
    }
    float best = 0, least = INFINITY;
    for (const float share : kShares) {
      const float scale = fp16_to_float(float_to_fp16(extreme * share / -8.0f));
      const float error = block_error(block, scale);
      if (error < least) {
        least = error;
        best = scale;
      }
    }
    scales[b] = float_to_fp16(best);
    const float inverse = inverse_of(best);
    for (size_t i = 0; i < n; ++i) {
      nibbles[first + i] = static_cast<uint8_t>(to_level(block[i], inverse));
    }
  }
}

}  // namespace ettin
