// A ragged batch: sequences of any lengths, one after the other, no padding anywhere.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

namespace ettin {

struct Batch {
  std::vector<int32_t> token_ids;  // [T]
  std::vector<int32_t> positions;  // [T], from 0 in each sequence (from its past with a cache)
  std::vector<int64_t> starts{0};  // [N + 1], rows of sequence n: starts[n] .. starts[n + 1]

  int64_t tokens() const { return static_cast<int64_t>(token_ids.size()); }
  // One more than the largest position. Precondition: tokens() > 0.
  int64_t position_count() const {
    return *std::max_element(positions.begin(), positions.end()) + int64_t{1};
  }
  int64_t sequences() const { return static_cast<int64_t>(starts.size()) - 1; }

  // Appends one sequence whose first token has position `past`; returns its first row.
  int64_t append(std::span<const int32_t> ids, int64_t past = 0) {
    const int64_t first = tokens();
    token_ids.insert(token_ids.end(), ids.begin(), ids.end());
    for (size_t i = 0; i < ids.size(); ++i) {
      positions.push_back(static_cast<int32_t>(past + static_cast<int64_t>(i)));
    }
    starts.push_back(tokens());
    return first;
  }
};

}  // namespace ettin
