// The order of the data: a pure function of (shuffle seed, number of sequences). Epoch e is NumPy's
// Generator(PCG64DXSM(seed + e)).permutation(n), bit for bit (training.md 2.4).
#pragma once

#include <cstdint>
#include <vector>

#include "data/pcg64dxsm.h"

namespace ettin {

std::vector<uint32_t> epoch_permutation(uint64_t seed, int64_t n);  // n < 2^32
// NumPy's Generator.permutation(n) with the draws that follow in `random`.
std::vector<uint32_t> permutation(Pcg64Dxsm& random, int64_t n);

// Sequence numbers in training order. Each epoch's last n % batch entries are dropped, as the
// original sampler's drop_last does: step k takes one epoch's entries only.
// Not thread-safe: keeps the permutation of the epoch that was asked for last.
class DataOrder {
 public:
  // Preconditions: 1 <= batch <= n < 2^32.
  DataOrder(uint64_t seed, int64_t n, int64_t batch);

  int64_t sequences_per_epoch() const { return per_epoch_; }  // n / batch * batch
  // The sequence that position `cursor` of the run feeds, cursor = sequences consumed before it.
  int64_t at(int64_t cursor);
  int64_t epoch_of(int64_t cursor) const { return cursor / per_epoch_; }

 private:
  uint64_t seed_;
  int64_t n_, per_epoch_;
  int64_t epoch_ = -1;
  std::vector<uint32_t> permutation_;
};

}  // namespace ettin
