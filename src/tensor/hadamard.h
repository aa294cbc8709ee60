// The rotation that q8 applies to rows before it rounds them.
//
// Each run of 64 consecutive values is multiplied by the orthonormal Walsh-Hadamard matrix of that
// size; what is left of the row stays as it is. An outlier is spread over 64 values, so the one
// scale of the row fits all of them better (QuaRot, Ashkboos et al. 2024). The matrix is symmetric
// and its own inverse: a product of two rotated rows is the product of the rows, and rotating twice
// gives the row back.
#pragma once

#include <cstdint>
#include <span>

namespace ettin {

inline constexpr int64_t kRotation = 64;  // values that are rotated together

// In rounds over the elements 32, 16, 8, 4, 2 and 1 apart: a pair (a, b) becomes (a + b, a - b).
// Then everything times 1/8. Whoever keeps that order computes these bits.
void rotate_row(std::span<float> row);
void rotate_row(std::span<double> row);

}  // namespace ettin
