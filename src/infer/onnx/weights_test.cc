#include "infer/onnx/weights.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include <gtest/gtest.h>

#include "base/half.h"
#include "base/test_files.h"

namespace ettin {
namespace {

using test::TempDir;

// A floating matrix, and what OnnxWeights makes of it.
class OnnxWeightsTest : public testing::Test {
 protected:
  void make(int64_t rows, int64_t cols) {
    rows_ = rows;
    cols_ = cols;
    values_.resize(static_cast<size_t>(rows * cols));
    for (size_t i = 0; i < values_.size(); ++i) {
      values_[i] = static_cast<float>(static_cast<int64_t>(i * 7919 % 2003) - 1001) / 997.0F;
    }
    stored_.name = "w";
    stored_.shape = {static_cast<uint64_t>(rows), static_cast<uint64_t>(cols)};
    stored_.bytes = std::as_bytes(std::span(values_));
    blocks_ = {StoredMatrix(&stored_)};
  }

  float at(int64_t row, int64_t col) const {
    return values_[static_cast<size_t>(row * cols_ + col)];
  }

  // The bytes of the data file, of at least as many as `count` Ts.
  template <class T, class Fn>
  std::vector<T> written(size_t count, Fn write) {
    const TempDir dir;
    auto writer = OnnxWriter::create(dir.path() + "/m.onnx");
    EXPECT_TRUE(writer.ok());
    OnnxWeights weights(&*writer, "model");
    status_ = write(weights);
    std::vector<T> out(count);
    if (!status_.ok()) return out;
    EXPECT_TRUE(writer->commit().ok());
    const std::string data = test::slurp(dir.path() + "/m.onnx_data");
    EXPECT_GE(data.size(), count * sizeof(T));
    std::memcpy(out.data(), data.data(), std::min(data.size(), count * sizeof(T)));
    return out;
  }

  int64_t rows_ = 0, cols_ = 0;
  std::vector<float> values_;
  StoredTensor stored_;
  std::vector<StoredMatrix> blocks_;
  Status status_;
};

TEST_F(OnnxWeightsTest, TransposesInStrips) {
  make(4100, 2100);  // 34 MB: more than a strip, and the last one is narrow
  const MatrixRows part{blocks_, 100, 4000};
  const auto out = written<float>(static_cast<size_t>(4000 * cols_), [&](OnnxWeights& w) {
    return w.transposed("w", part, OnnxType::f32);
  });
  ASSERT_TRUE(status_.ok());
  for (int64_t c = 0; c < cols_; ++c) {
    for (int64_t r = 0; r < 4000; ++r) {
      ASSERT_EQ(out[static_cast<size_t>(c * 4000 + r)], at(100 + r, c)) << r << ", " << c;
    }
  }
}

TEST_F(OnnxWeightsTest, StackedBlocksAreOneMatrix) {
  make(6, 5);
  blocks_ = {StoredMatrix(&stored_), StoredMatrix(&stored_)};
  const auto out = written<uint16_t>(4 * 5, [&](OnnxWeights& w) {
    return w.rows("w", {blocks_, 4, 4}, OnnxType::f16);
  });
  ASSERT_TRUE(status_.ok());
  for (int64_t i = 0; i < 4; ++i) {
    EXPECT_EQ(out[static_cast<size_t>(i * 5)], float_to_fp16(at((4 + i) % 6, 0)));
  }
}

TEST_F(OnnxWeightsTest, FourBitsWithTheLastBlockFilledUp) {
  make(3, 40);
  // [3, 2 blocks, 16 bytes], then at the next multiple of 64 the scales
  const auto out = written<uint8_t>(128 + 3 * 2 * 4, [&](OnnxWeights& w) {
    return w.q4("w", {blocks_, 0, 3}, OnnxType::f32);
  });
  ASSERT_TRUE(status_.ok());
  for (int64_t r = 0; r < 3; ++r) {
    for (int64_t c = 0; c < 40; ++c) {
      const int64_t block = r * 2 + c / 32;
      float scale;
      std::memcpy(&scale, out.data() + 128 + block * 4, sizeof scale);
      const int byte = out[static_cast<size_t>(block * 16 + c % 32 / 2)];
      const int nibble = c % 2 == 0 ? byte & 15 : byte >> 4;
      EXPECT_LE(std::fabs(static_cast<float>(nibble - 8) * scale - at(r, c)), std::fabs(scale));
      EXPECT_NE(scale, 0);
    }
    for (size_t i = 4; i < 16; ++i) {  // 8 of 32 values are there; 0x88 is two zeros
      EXPECT_EQ(out[static_cast<size_t>(r * 2 + 1) * 16 + i], 0x88);
    }
  }
}

TEST_F(OnnxWeightsTest, SevenBitsForEachColumn) {
  make(3, 30);
  for (int64_t c = 0; c < 30; ++c) values_[static_cast<size_t>(30 + c)] = 0;  // a row of zeros
  const auto out = written<int8_t>(128 + 3 * 4, [&](OnnxWeights& w) {
    return w.q8_columns("w", {blocks_, 0, 3});
  });
  ASSERT_TRUE(status_.ok());
  for (int64_t r = 0; r < 3; ++r) {
    float scale;
    std::memcpy(&scale, out.data() + 128 + r * 4, sizeof scale);
    for (int64_t c = 0; c < 30; ++c) {
      const int8_t level = out[static_cast<size_t>(c * 3 + r)];
      EXPECT_LE(std::abs(level), 64);
      EXPECT_LE(std::fabs(static_cast<float>(level) * scale - at(r, c)), scale * 0.5001F);
    }
  }
}

TEST_F(OnnxWeightsTest, WhatATypeCannotHoldIsRefused) {
  make(2, 4);
  const MatrixRows all{blocks_, 0, 2};
  values_[5] = 70000;
  for (const bool transposed : {false, true}) {
    written<uint8_t>(0, [&](OnnxWeights& w) {
      return transposed ? w.transposed("name", all, OnnxType::f16)
                        : w.rows("name", all, OnnxType::f16);
    });
    EXPECT_EQ(status_.code(), StatusCode::unsupported);
    EXPECT_NE(status_.message().find("name holds 70000"), std::string::npos);
  }
  values_[5] = std::numeric_limits<float>::quiet_NaN();
  written<uint8_t>(0, [&](OnnxWeights& w) { return w.q8_columns("name", all); });
  EXPECT_EQ(status_.code(), StatusCode::bad_data);
  written<uint8_t>(0, [&](OnnxWeights& w) { return w.q8_rows("name", all); });
  EXPECT_EQ(status_.code(), StatusCode::bad_data);
  written<uint8_t>(0, [&](OnnxWeights& w) { return w.q4("name", all, OnnxType::f16); });
  EXPECT_EQ(status_.code(), StatusCode::bad_data);
}

}  // namespace
}  // namespace ettin
