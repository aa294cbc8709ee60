// The rounding rules of q8 and q4, as pure functions of one row. Packing, the reference backend and
// `ettin quantize` share them, so a model quantised on disk computes what --dtype computes at load.
#pragma once

#include <cstdint>
#include <span>
#include <utility>

namespace ettin {

inline constexpr int64_t kQ4Block = 32;  // input features that share a scale
inline constexpr int kQ4Zero = 8;        // the stored nibble that means zero

inline int64_t q4_blocks(int64_t in_features) { return (in_features + kQ4Block - 1) / kQ4Block; }

// x ~ scale * out with out in [-127, 127]: scale = max |x| / 127, out = x / scale rounded to
// nearest even. Returns the scale: 0 for a row of zeros. |x - scale * out| <= scale / 2. The rule
// of q8 weights (per output feature) and of the activations of q8 and q4 (per token); q8 rotates
// both first (tensor/hadamard.h). x must be finite; a row that holds NaN or infinity has a scale of
// NaN and zeros.
float quantize_q8(std::span<const float> x, std::span<int8_t> out);

// ONNX's DynamicQuantizeLinear: x ~ scale * (byte - zero) for x in [lo, hi], 0 among them. scale =
// (hi - lo) / 255, or 1 when that is 0; zero = -lo / scale rounded to nearest even.
struct ByteScale {
  float scale = 1;
  int32_t zero = 0;  // 0 to 255
};
ByteScale byte_scale(float lo, float hi);
// The smallest and the largest of x and 0; NaN and infinity give infinities.
std::pair<float, float> range_with_zero(std::span<const float> x);
// byte = x / scale rounded to nearest even, plus zero, kept in 0 to 255. |x - scale * (byte -
// zero)|
// <= scale for x in the range of the scale.
void quantize_bytes(std::span<const float> x, ByteScale scale, std::span<uint8_t> out);

// Per block of 32: x ~ scale * (nibble - 8), nibble in [0, 15], scale an fp16 number. The element
// of largest magnitude lies near -8 * scale, as in ggml's Q4_0; of a few scales around that, the
// one with the smallest squared error. |x - value| <= |scale| for every element. nibbles: one per
// byte, x.size() of them. scales: fp16 bits, q4_blocks(x.size()) of them.
void quantize_q4(std::span<const float> x, std::span<uint8_t> nibbles, std::span<uint16_t> scales);

}  // namespace ettin
