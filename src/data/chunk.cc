#include "data/chunk.h"

#include <algorithm>

#include "base/check.h"
#include "base/rng.h"

namespace ettin {

std::vector<std::vector<uint32_t>> chunk_document(std::span<const int32_t> ids,
                                                  const ChunkOptions& options, uint64_t stream) {
  ETTIN_CHECK(options.max_length >= 3);
  std::vector<uint32_t> whole(ids.begin(), ids.end());
  if (whole.empty() || whole.back() != static_cast<uint32_t>(options.last)) {
    whole.push_back(static_cast<uint32_t>(options.last));
  }
  const size_t piece = static_cast<size_t>(options.max_length - 2);
  // Where the chunks end; all but the last are full, until one gives ids away.
  std::vector<size_t> ends;
  for (size_t at = 0; at < whole.size(); at += piece) {
    ends.push_back(std::min(at + piece, whole.size()));
  }
  const size_t full_end = ends.size() < 2 ? 0 : ends[ends.size() - 2];
  const size_t length = ends.back() - full_end;
  if (ends.size() > 1 && static_cast<int64_t>(length) < options.skip_below) {
    ends.pop_back();
  } else if (ends.size() > 1 && length < piece &&
             static_cast<int64_t>(length) < options.min_length) {
    const unsigned __int128 range = piece - length;
    ends[ends.size() - 2] -=
        static_cast<size_t>(range * random_bits(options.seed, stream, 0) >> 64);
  }
  std::vector<std::vector<uint32_t>> chunks;
  size_t begin = 0;
  for (const size_t end : ends) {
    std::vector<uint32_t> chunk;
    const auto first = static_cast<uint32_t>(options.first);
    if (whole[begin] != first) chunk.push_back(first);
    chunk.insert(chunk.end(), whole.begin() + static_cast<std::ptrdiff_t>(begin),
                 whole.begin() + static_cast<std::ptrdiff_t>(end));
    chunks.push_back(std::move(chunk));
    begin = end;
  }
  return chunks;
}

}  // namespace ettin
