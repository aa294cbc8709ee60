// Who sees whom, as a value: inclusive counts of neighbours. The window convention is written here
// and in model/arm.h, which makes these, and nowhere else.
#pragma once

#include <cstdint>

namespace ettin {

struct AttentionSpec {
  static constexpr int64_t kUnlimited = int64_t{1} << 40;

  int64_t left = kUnlimited;   // the query at position i sees keys from i - left ...
  int64_t right = kUnlimited;  // ... to i + right, both ends included

  friend bool operator==(const AttentionSpec&, const AttentionSpec&) = default;
};

}  // namespace ettin
