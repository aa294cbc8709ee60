// An encoder and a decoder are one network: what must be equal between them, and what must differ.
// Each test can fail: the comment names the slip that it catches.
#include <cstring>

#include <gtest/gtest.h>

#include "backend/test_backends.h"
#include "model/heads.h"
#include "model/test_models.h"

namespace ettin {
namespace {

using test::tiny_network;
using Rows = std::vector<float>;

Rows hidden_of(const Network& network, const std::vector<std::vector<int32_t>>& sequences) {
  Batch batch;
  for (const auto& ids : sequences) batch.append(ids);
  Arena arena;
  const View hidden = backbone_forward(network, batch, {}, arena);
  Rows rows(static_cast<size_t>(hidden.rows * hidden.cols));
  network.backend->copy_to_host(hidden, std::span(rows));
  return rows;
}

std::vector<int32_t> some_ids(size_t count) {
  std::vector<int32_t> ids(count);
  for (size_t i = 0; i < count; ++i) ids[i] = static_cast<int32_t>((i * i * 7 + 3 * i + 1) % 97);
  return ids;
}

bool same_row(const Rows& a, const Rows& b, size_t row, size_t cols) {
  return std::memcmp(a.data() + row * cols, b.data() + row * cols, cols * sizeof(float)) == 0;
}

std::vector<std::shared_ptr<const Backend>> both_backends() {
  return {must_make({.name = "ref", .threads = 1}), must_make({.name = "cpu", .threads = 2})};
}

// Catches: anything but attention that depends on the direction.
TEST(Pair, OneTokenSequencesAreEqualInBothDirections) {
  for (const auto& backend : both_backends()) {
    const Network encoder = tiny_network(test::tiny_config(kEncoder), backend);
    const Network decoder = tiny_network(test::tiny_config(kDecoder), backend);
    std::vector<std::vector<int32_t>> singles;
    for (const int32_t id : some_ids(30)) singles.push_back({id});
    const Rows a = hidden_of(encoder, singles), b = hidden_of(decoder, singles);
    EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
    EXPECT_NE(hidden_of(encoder, {some_ids(2)}), hidden_of(decoder, {some_ids(2)}));
  }
}

// Catches: a look into the future, also by one key at a window's edge.
TEST(Pair, ChangingATokenChangesNoEarlierRowOfADecoder) {
  for (const auto& backend : both_backends()) {
    const Network decoder = tiny_network(test::tiny_config(kDecoder), backend);
    const std::vector<int32_t> ids = some_ids(30);
    const Rows before = hidden_of(decoder, {ids});
    for (size_t k = 0; k < ids.size(); ++k) {
      std::vector<int32_t> changed = ids;
      changed[k] = (changed[k] + 1) % 97;
      const Rows after = hidden_of(decoder, {changed});
      for (size_t row = 0; row < k; ++row) EXPECT_TRUE(same_row(before, after, row, 32)) << k;
      for (size_t row = k; row < ids.size(); ++row) {
        EXPECT_FALSE(same_row(before, after, row, 32)) << k << " " << row;
      }
    }
  }
}

// Catches: a global layer that is not global.
TEST(Pair, ChangingTheLastTokenChangesTheFirstRowOfAnEncoder) {
  for (const auto& backend : both_backends()) {
    const Network encoder = tiny_network(test::tiny_config(kEncoder), backend);
    std::vector<int32_t> ids = some_ids(200);
    const Rows before = hidden_of(encoder, {ids});
    ids.back() = (ids.back() + 1) % 97;
    EXPECT_FALSE(same_row(before, hidden_of(encoder, {ids}), 0, 32));
  }
}

// The reach of stacked local layers is exact: a token `reach` away matters, one further does not.
// Catches: every off-by-one in the window.
TEST(Pair, LocalLayersReachExactlyTheirWindow) {
  for (const auto& backend : both_backends()) {
    for (const Arm arm : {kEncoder, kDecoder}) {
      ModelConfig config = test::tiny_config(arm);
      config.layer_is_global.assign(5, false);
      const Network network = tiny_network(config, backend);
      const std::vector<int32_t> ids = some_ids(60);
      const Rows before = hidden_of(network, {ids});
      const int64_t left = arm == kEncoder ? 4 : 3, right = arm == kEncoder ? 4 : 0;
      const int64_t changed_at = 30;
      std::vector<int32_t> changed = ids;
      changed[changed_at] = (changed[changed_at] + 1) % 97;
      const Rows after = hidden_of(network, {changed});
      for (int64_t row = 0; row < 60; ++row) {
        // Row r sees changed_at when changed_at is in [r - 5 left, r + 5 right].
        const bool reached = changed_at >= row - 5 * left && changed_at <= row + 5 * right;
        EXPECT_EQ(!same_row(before, after, static_cast<size_t>(row), 32), reached)
            << arm.name << " row " << row;
      }
    }
  }
}

// Catches: a tensor that only one arm packs or initialises.
TEST(Pair, SameSeedGivesTheSameBytes) {
  const TensorSource a = random_tensors(test::tiny_config(kEncoder), 5);
  const TensorSource b = random_tensors(test::tiny_config(kDecoder), 5);
  ASSERT_EQ(a.tensors().size(), b.tensors().size());
  for (size_t i = 0; i < a.tensors().size(); ++i) {
    const StoredTensor &x = a.tensors()[i], &y = b.tensors()[i];
    EXPECT_EQ(x.name, y.name);
    ASSERT_EQ(x.bytes.size(), y.bytes.size());
    EXPECT_EQ(std::memcmp(x.bytes.data(), y.bytes.data(), x.bytes.size()), 0) << x.name;
  }
  const TensorSource other = random_tensors(test::tiny_config(kEncoder), 6);
  EXPECT_NE(std::memcmp(a.tensors()[0].bytes.data(), other.tensors()[0].bytes.data(), 64), 0);
}

// Negative control of the whole folder: the order of layers matters.
TEST(Pair, SwappingTwoLayersChangesTheResult) {
  const auto backend = must_make({.name = "cpu", .threads = 1});
  Network network = tiny_network(test::tiny_config(kEncoder), backend);
  const Rows before = hidden_of(network, {some_ids(20)});
  std::swap(network.weights.layers[1], network.weights.layers[2]);
  EXPECT_NE(before, hidden_of(network, {some_ids(20)}));
}

}  // namespace
}  // namespace ettin
