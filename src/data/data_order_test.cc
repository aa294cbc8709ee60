#include "data/data_order.h"

#include <gtest/gtest.h>

#include <set>

#include "base/file.h"
#include "base/hash.h"
#include "base/json.h"

namespace ettin {
namespace {

TEST(DataOrder, NumPysPermutationOfSeed21) {
  const std::vector<uint32_t> expected = {10, 13, 11, 6, 3, 8, 12, 2, 0, 14, 4, 9, 1, 15, 7, 5};
  EXPECT_EQ(epoch_permutation(21, 16), expected);
  const std::vector<uint32_t> million = epoch_permutation(21, 1000000);
  const std::vector<uint32_t> first = {913403, 519921, 909469, 323065,
                                       57368,  493831, 237014, 336044};
  EXPECT_EQ(std::vector<uint32_t>(million.begin(), million.begin() + 8), first);
}

class OrderFixtures : public testing::Test {
 protected:
  void SetUp() override {
    const std::string path = ETTIN_SHARED_DIR "/data/golden/order.json";
    if (!file_exists(path)) GTEST_SKIP() << "SKIPPED: " << path << " is not there";
    const Result<Json> file = parse_json_file(path);
    ASSERT_TRUE(file.ok()) << file.status().to_string();
    fixtures_ = *file;
  }

  static Pcg64Dxsm::Wide wide(const Json& hex) {
    Pcg64Dxsm::Wide value = 0;
    const std::string digits = hex.get<std::string>();
    for (const char c : digits.substr(2)) {
      value = value << 4 | static_cast<unsigned>(std::stoi(std::string(1, c), nullptr, 16));
    }
    return value;
  }

  Json fixtures_;
};

TEST_F(OrderFixtures, Seeding) {
  int checked = 0;
  for (const auto& [seed, fixture] : fixtures_["seeds"].items()) {
    const auto state = seed_sequence_state(std::stoull(seed));
    for (size_t i = 0; i < 4; ++i) {
      EXPECT_EQ(state[i], wide(fixture["generate_state_u64x4"][i])) << seed;
    }
    const Pcg64Dxsm random(std::stoull(seed));
    EXPECT_TRUE(random.state() == wide(fixture["initial_state_u128"])) << seed;
    EXPECT_TRUE(random.increment() == wide(fixture["increment_u128"])) << seed;
    ++checked;
  }
  EXPECT_EQ(checked, 4);
}

TEST_F(OrderFixtures, Streams) {
  for (const auto& [seed, fixture] : fixtures_["seeds"].items()) {
    Pcg64Dxsm raw(std::stoull(seed)), halves(std::stoull(seed));
    for (const Json& value : fixture["raw_u64"]) EXPECT_EQ(raw.next64(), wide(value)) << seed;
    for (const Json& value : fixture["next_u32"]) {
      EXPECT_EQ(halves.next32(), value.get<uint32_t>()) << seed;
    }
  }
}

TEST_F(OrderFixtures, Permutations) {
  int checked = 0;
  for (const auto& [seed, fixture] : fixtures_["seeds"].items()) {
    for (const char* kind : {"permutation", "permutation_large"}) {
      for (const auto& [n, expected] : fixture[kind].items()) {
        Pcg64Dxsm random(std::stoull(seed));
        const std::vector<uint32_t> actual = permutation(random, std::stoll(n));
        EXPECT_EQ(actual, epoch_permutation(std::stoull(seed), std::stoll(n)));
        EXPECT_EQ(sha256_hex(std::as_bytes(std::span(actual))),
                  expected["sha256_le_u32"].get<std::string>())
            << "seed " << seed << ", n " << n;
        // The tail: a wrong number of draws shows here.
        const Json& pending = expected["pending_u32_after"];
        EXPECT_EQ(random.pending_half().has_value(), !pending.is_null()) << n;
        if (random.pending_half()) {
          EXPECT_EQ(*random.pending_half(), pending.get<uint32_t>()) << n;
        }
        EXPECT_EQ(random.next64(), wide(expected["next_raw_u64_after"])) << n;
        if (const Json* first = json_member(expected, "first32")) {
          EXPECT_EQ(Json(std::vector<uint32_t>(actual.begin(), actual.begin() + 32)), *first);
          EXPECT_EQ(Json(std::vector<uint32_t>(actual.end() - 8, actual.end())), expected["last8"]);
        }
        ++checked;
      }
    }
  }
  EXPECT_EQ(checked, 4 * (4 + 2));
}

TEST_F(OrderFixtures, Sampler) {
  int checked = 0;
  for (const Json& c : fixtures_["sampler"]["cases"]) {
    const int64_t batch = c["global_batch"].get<int64_t>(), epoch = c["epoch"].get<int64_t>();
    DataOrder order(c["seed"].get<uint64_t>(), c["dataset_size"].get<int64_t>(), batch);
    const int64_t steps = c["steps_per_epoch"].get<int64_t>();
    ASSERT_EQ(order.sequences_per_epoch(), steps * batch);
    const auto batch_of = [&](int64_t step) {
      std::vector<int64_t> entries;
      for (int64_t i = 0; i < batch; ++i) {
        entries.push_back(order.at((epoch * steps + step) * batch + i));
      }
      return entries;
    };
    const std::vector<int64_t> first = batch_of(0);
    EXPECT_EQ(Json(first), c["batch0_in_order"]);
    EXPECT_EQ(Json(batch_of(steps - 1)), c["last_batch_in_order"]);
    for (const auto& [world, ranks] : c["ranks"].items()) {
      const size_t w = std::stoul(world);
      for (size_t rank = 0; rank < w; ++rank) {
        std::vector<int64_t> strided;
        for (size_t i = rank; i < first.size(); i += w) strided.push_back(first[i]);
        EXPECT_EQ(Json(strided), ranks[rank]) << w << " ranks";
      }
    }
    ++checked;
  }
  EXPECT_GE(checked, 4);
}

TEST(DataOrder, EveryEpochIsAPermutationWithoutItsTail) {
  DataOrder order(21, 10, 4);
  EXPECT_EQ(order.sequences_per_epoch(), 8);
  for (int64_t epoch = 0; epoch < 3; ++epoch) {
    const std::vector<uint32_t> expected = epoch_permutation(21 + static_cast<uint64_t>(epoch), 10);
    for (int64_t i = 0; i < 8; ++i) {
      EXPECT_EQ(order.at(epoch * 8 + i), expected[static_cast<size_t>(i)]);
      EXPECT_EQ(order.epoch_of(epoch * 8 + i), epoch);
    }
  }
  EXPECT_EQ(order.at(3), epoch_permutation(21, 10)[3]) << "any position can be asked for again";
}

}  // namespace
}  // namespace ettin
