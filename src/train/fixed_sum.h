// Sums whose bits depend on the numbers alone: partial sums over chunks of a fixed number of
// elements, then a binary tree over the numbers of the chunks. Threads share out chunks, so they
// change nothing.
#pragma once

#include <cstdint>
#include <span>

namespace ettin {

inline constexpr int64_t kSumChunk = 4096;  // elements

constexpr int64_t sum_chunks(int64_t elements) { return (elements + kSumChunk - 1) / kSumChunk; }

// node(l, i) = node(l - 1, 2i) + node(l - 1, 2i + 1); a right child that is missing adds nothing.
// Overwrites `partial`; 0 when it is empty.
double tree_sum(std::span<double> partial);

}  // namespace ettin
