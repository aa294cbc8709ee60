// Rows of q8 and q4 as the AVX-512 kernels prepare them, against the rules of src/tensor to the
// bit.
#include <gtest/gtest.h>

#include <cstring>
#include <vector>

#include "backend/cpu/dot_kernels.h"
#include "backend/cpu/isa.h"
#include "base/rng.h"
#include "tensor/hadamard.h"
#include "tensor/quantize.h"

namespace ettin {
namespace {

// The levels of a prepared row, then its offsets, then the scale: see LevelRow (dot_common-inl.h).
int64_t scale_at(int64_t k) {
  const int64_t blocks = q4_blocks(k);
  return blocks * kQ4Block + blocks * 4 + 4;
}

void check(WeightFormat format, uint64_t stream, int64_t k) {
  const cpu::DotKernels* kernels = nullptr;
  for (const cpu::IsaChoice& isa : cpu::available_isas()) {
    if (kernels == nullptr) kernels = cpu::dot_kernels(isa, format);
  }
  if (kernels == nullptr) GTEST_SKIP() << "SKIPPED: no VNNI here: nothing compared";
  std::vector<float> x(static_cast<size_t>(k));
  for (size_t i = 0; i < x.size(); ++i) {
    x[i] = static_cast<float>(4 * random_uniform(5, stream, i) - 2);
  }
  std::vector<std::byte> row(static_cast<size_t>(kernels->row_bytes(k)));
  kernels->prepare(x.data(), k, row.data());
  std::vector<int8_t> levels(x.size()), actual(x.size());
  std::memcpy(actual.data(), row.data(), actual.size());
  float scale;
  std::memcpy(&scale, row.data() + scale_at(k), sizeof scale);
  if (format == WeightFormat::q8) rotate_row(std::span(x));
  EXPECT_EQ(scale, quantize_q8(x, levels)) << k;  // the bits of the largest element
  EXPECT_EQ(actual, levels) << k;
}

// Many rows of one run, so that each place is the largest element of some.
TEST(PreparedRows, AreThoseOfQ8) {
  for (uint64_t stream = 0; stream < 2000; ++stream) check(WeightFormat::q8, stream, 64);
  for (const int64_t k : {1, 15, 63, 65, 80, 127, 128, 384, 389}) check(WeightFormat::q8, 1, k);
}

TEST(PreparedRows, OfQ4AreNotRotated) {
  for (const int64_t k : {1, 63, 64, 65, 384, 389}) check(WeightFormat::q4, 1, k);
}

}  // namespace
}  // namespace ettin
