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

using Block = std::array<float, kQ4Block>;  // loops over all of it vectorise

// Levels counted from zero, -8 to 7, as floats.
Block to_levels(const Block& x, float scale) {
  const float inverse = scale != 0 ? 1.0f / scale : 0.0f;
  Block levels;
  for (size_t i = 0; i < x.size(); ++i) {
    levels[i] = std::min(7.0f, std::max(-8.0f, round_small(x[i] * inverse)));
  }
  return levels;
}

// Squared error of one block under one scale, summed in a fixed order.
float block_error(const Block& x, float scale) {
  const Block levels = to_levels(x, scale);
  std::array<float, 8> sum = {};
  for (size_t i = 0; i < x.size(); i += sum.size()) {
    for (size_t j = 0; j < sum.size(); ++j) {
      const float e = x[i + j] - scale * levels[i + j];
      sum[j] += e * e;
    }
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

// The element of largest magnitude; of several, the positive one.
float extreme_of(const Block& x) {
  int32_t largest = 0, smallest = 0;  // bits of magnitudes compare like integers
  for (const float v : x) {
    const int32_t bits = std::bit_cast<int32_t>(v), magnitude = bits & 0x7fffffff;
    largest = std::max(largest, bits < 0 ? 0 : magnitude);
    smallest = std::max(smallest, bits < 0 ? magnitude : 0);
  }
  return smallest > largest ? -std::bit_cast<float>(smallest) : std::bit_cast<float>(largest);
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

ByteScale byte_scale(float lo, float hi) {
  const float span = hi - lo;
  if (!(span < INFINITY)) return {NAN, 0};
  ByteScale s;
  if (span > 0) s.scale = span / 255.0f;
  const float zero = round_small(-lo / s.scale);
  s.zero = static_cast<int32_t>(std::min(255.0f, std::max(0.0f, zero)));
  return s;
}

std::pair<float, float> range_with_zero(std::span<const float> x) {
  float lo = 0, hi = 0;
  bool finite = true;
  for (const float v : x) {
    lo = std::min(lo, v);
    hi = std::max(hi, v);
    finite &= std::fabs(v) < INFINITY;
  }
  if (!finite) return {-INFINITY, INFINITY};
  return {lo, hi};
}

void quantize_bytes(std::span<const float> x, ByteScale scale, std::span<uint8_t> out) {
  ETTIN_CHECK(x.size() == out.size());
  if (!(scale.scale < INFINITY)) return std::fill(out.begin(), out.end(), uint8_t{0});
  const float least = static_cast<float>(-scale.zero), most = static_cast<float>(255 - scale.zero);
  for (size_t i = 0; i < x.size(); ++i) {
    const float level = round_small(std::min(most, std::max(least, x[i] / scale.scale)));
    out[i] = static_cast<uint8_t>(static_cast<int32_t>(level) + scale.zero);
  }
}

void quantize_q4(std::span<const float> x, std::span<uint8_t> nibbles, std::span<uint16_t> scales) {
  const auto blocks = static_cast<size_t>(q4_blocks(static_cast<int64_t>(x.size())));
  ETTIN_CHECK(nibbles.size() == x.size() && scales.size() == blocks);
  for (size_t b = 0; b < blocks; ++b) {
    const size_t first = b * kQ4Block, n = std::min<size_t>(kQ4Block, x.size() - first);
    Block block = {};
    std::copy_n(x.begin() + static_cast<ptrdiff_t>(first), n, block.begin());
    const float extreme = extreme_of(block);
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
    const Block levels = to_levels(block, best);
    for (size_t i = 0; i < n; ++i) {
      nibbles[first + i] = static_cast<uint8_t>(static_cast<int>(levels[i]) + kQ4Zero);
    }
  }
}

}  // namespace ettin
