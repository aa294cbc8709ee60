// Beginnings of sequences whose keys and values are kept, so that streams that begin alike compute
// that part once. Bounded in bytes; the one that was used longest ago goes first. Not thread-safe.
#pragma once

#include <cstdint>
#include <list>
#include <memory>
#include <span>
#include <vector>

#include "model/kv_cache.h"

namespace ettin {

class PrefixCache {
 public:
  explicit PrefixCache(int64_t most_bytes) : most_bytes_(most_bytes) {}

  struct Match {
    int64_t tokens = 0;              // of the ids asked for; 0: nothing fits
    const KvCache* cache = nullptr;  // can_copy(tokens); valid until the next insert()
  };
  // The longest kept beginning of `ids`, at least one id short of all: the last row's hidden state
  // is not kept, and the next token needs it. A ring has forgotten what came before its window, so
  // a long entry serves those who share all of it (or all but one id), a short one any part.
  Match find(std::span<const int32_t> ids) const;
  // The same, and counts as a use.
  Match use(std::span<const int32_t> ids);

  // Keeps the cache of exactly `ids`, unless it is larger than all that may be kept.
  // Precondition: cache.past() == ids.size().
  void insert(std::span<const int32_t> ids, KvCache cache);

  int64_t bytes() const { return bytes_; }
  size_t entries() const { return entries_.size(); }

 private:
  struct Entry {
    std::vector<int32_t> ids;
    KvCache cache;
    int64_t bytes;
  };
  using Entries = std::list<Entry>;

  std::pair<Entries::const_iterator, int64_t> longest(std::span<const int32_t> ids) const;

  // Last used first. An entry holds a megabyte or so: few enough to look at each.
  Entries entries_;
  int64_t most_bytes_;
  int64_t bytes_ = 0;
};

// How many ids two sequences begin with in common.
int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b);

}  // namespace ettin
