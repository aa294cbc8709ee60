// A document's token ids cut into chunks (training.md 2.2).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace ettin {

struct ChunkOptions {
  int64_t max_length = 1024;  // c: of a sequence, [CLS] and the loader's [SEP] included
  int64_t min_length = 512;   // m: a shorter last piece takes tokens from the piece before it
  int64_t skip_below = 32;    // a: a shorter last piece is dropped
  int32_t first = 0;          // [CLS]
  int32_t last = 0;           // [SEP]
  uint64_t seed = 42;
};

// `ids`: the document without special tokens. [SEP] follows it, pieces of c - 2 ids are cut, each
// with [CLS] in front. The last of several pieces is dropped when it is shorter than a; when it is
// shorter than m, it is given r ids from the end of the piece before, r uniform in
// [0, c - 2 - length). r is random_bits(seed, stream, 0): a function of the document alone where
// `stream` is one, which NumPy's sequential generator of the original is not.
// Precondition: max_length >= 3.
std::vector<std::vector<uint32_t>> chunk_document(std::span<const int32_t> ids,
                                                  const ChunkOptions& options, uint64_t stream);

}  // namespace ettin
