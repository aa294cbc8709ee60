#include "data/data_order.h"

#include <array>
#include <cstddef>
#include <numeric>
#include <utility>

#include "base/check.h"

namespace ettin {

std::array<uint64_t, 4> seed_sequence_state(uint64_t seed) {
  constexpr size_t kPool = 4;
  std::array<uint32_t, kPool> pool{};
  const std::array<uint32_t, 2> entropy = {static_cast<uint32_t>(seed),
                                           static_cast<uint32_t>(seed >> 32)};
  uint32_t h = 0x43b0d7e5u;
  const auto hashmix = [&h](uint32_t v) {
    v ^= h;
    h *= 0x931e8875u;
    v *= h;
    return v ^ (v >> 16);
  };
  for (size_t i = 0; i < kPool; ++i) pool[i] = hashmix(i < entropy.size() ? entropy[i] : 0);
  for (size_t s = 0; s < kPool; ++s) {
    for (size_t d = 0; d < kPool; ++d) {
      if (s == d) continue;
      const uint32_t x = 0xca01f9ddu * pool[d] - 0x4973f715u * hashmix(pool[s]);
      pool[d] = x ^ (x >> 16);
    }
  }
  std::array<uint32_t, 8> words;
  h = 0x8b51f9ddu;
  for (size_t i = 0; i < words.size(); ++i) {
    uint32_t v = pool[i % kPool] ^ h;
    h *= 0x58f38dedu;
    v *= h;
    words[i] = v ^ (v >> 16);
  }
  std::array<uint64_t, 4> state;
  for (size_t i = 0; i < state.size(); ++i) {
    state[i] = uint64_t{words[2 * i]} | uint64_t{words[2 * i + 1]} << 32;
  }
  return state;
}

std::vector<uint32_t> epoch_permutation(uint64_t seed, int64_t n) {
  Pcg64Dxsm random(seed);
  return permutation(random, n);
}

std::vector<uint32_t> permutation(Pcg64Dxsm& random, int64_t n) {
  ETTIN_CHECK(n >= 0 && n < int64_t{1} << 32);
  std::vector<uint32_t> a(static_cast<size_t>(n));
  std::iota(a.begin(), a.end(), 0u);
  for (size_t i = a.size(); i-- > 1;) {
    const uint32_t mask = ~uint32_t{0} >> __builtin_clz(static_cast<uint32_t>(i));
    uint32_t j;
    do {
      j = random.next32() & mask;
    } while (j > i);
    std::swap(a[i], a[j]);
  }
  return a;
}

DataOrder::DataOrder(uint64_t seed, int64_t n, int64_t batch)
    : seed_(seed), n_(n), per_epoch_(n / batch * batch) {
  ETTIN_CHECK(batch >= 1 && batch <= n);
}

int64_t DataOrder::at(int64_t cursor) {
  const int64_t epoch = epoch_of(cursor);
  if (epoch != epoch_) {
    permutation_ = epoch_permutation(seed_ + static_cast<uint64_t>(epoch), n_);
    epoch_ = epoch;
  }
  return permutation_[static_cast<size_t>(cursor % per_epoch_)];
}

}  // namespace ettin
