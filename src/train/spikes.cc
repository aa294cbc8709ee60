#include "train/spikes.h"

#include <algorithm>
#include <cstddef>

namespace ettin {

bool is_spike(const std::vector<double>& recent_norms, double norm, double factor) {
  if (factor <= 0 || static_cast<int64_t>(recent_norms.size()) < kNormsNeeded) return false;
  std::vector<double> sorted = recent_norms;
  const auto middle = sorted.begin() + static_cast<ptrdiff_t>(sorted.size() / 2);
  std::nth_element(sorted.begin(), middle, sorted.end());
  return norm > factor * *middle;
}

void remember_norm(double norm, std::vector<double>* recent_norms) {
  recent_norms->push_back(norm);
  if (static_cast<int64_t>(recent_norms->size()) > kNormsKept) {
    recent_norms->erase(recent_norms->begin());
  }
}

}  // namespace ettin
