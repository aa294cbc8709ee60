// Steps that are left out: a loss or a gradient that is not finite, or a gradient far larger than
// those before it.
#pragma once

#include <cstdint>
#include <vector>

namespace ettin {

inline constexpr int64_t kNormsKept = 64;    // of the last steps that counted
inline constexpr int64_t kNormsNeeded = 16;  // before any step is called a spike

// norm > factor times the median of recent norms. factor 0: never.
bool is_spike(const std::vector<double>& recent_norms, double norm, double factor);

void remember_norm(double norm, std::vector<double>* recent_norms);

}  // namespace ettin
