#include "infer/decode_prefix.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace ettin {

int64_t common_prefix(std::span<const int32_t> a, std::span<const int32_t> b) {
  const size_t n = std::min(a.size(), b.size());
  return std::mismatch(a.begin(), a.begin() + static_cast<int64_t>(n), b.begin()).first - a.begin();
}

std::pair<PrefixCache::Entries::const_iterator, int64_t> PrefixCache::longest(
    std::span<const int32_t> ids) const {
  auto best = entries_.end();
  int64_t most = 0;
  for (auto e = entries_.begin(); e != entries_.end(); ++e) {
    const int64_t shared =
        std::min(common_prefix(e->ids, ids), static_cast<int64_t>(ids.size()) - 1);
    if (shared > most && e->cache.can_copy(shared)) {
      best = e;
      most = shared;
    }
  }
  return {best, most};
}

PrefixCache::Match PrefixCache::find(std::span<const int32_t> ids) const {
  const auto [entry, tokens] = longest(ids);
  return tokens == 0 ? Match{} : Match{tokens, &entry->cache};
}

PrefixCache::Match PrefixCache::use(std::span<const int32_t> ids) {
  const auto [entry, tokens] = longest(ids);
  if (tokens == 0) return {};
  entries_.splice(entries_.begin(), entries_, entry);
  return {tokens, &entry->cache};
}

void PrefixCache::insert(std::span<const int32_t> ids, KvCache cache) {
  ETTIN_CHECK(cache.past() == static_cast<int64_t>(ids.size()));
  const int64_t bytes = cache.bytes() + static_cast<int64_t>(ids.size_bytes());
  if (bytes > most_bytes_ || ids.empty()) return;
  const auto same = std::find_if(entries_.begin(), entries_.end(), [&](const Entry& e) {
    return std::equal(e.ids.begin(), e.ids.end(), ids.begin(), ids.end());
  });
  if (same != entries_.end()) {
    entries_.splice(entries_.begin(), entries_, same);
    return;
  }
  while (bytes_ + bytes > most_bytes_) {
    bytes_ -= entries_.back().bytes;
    entries_.pop_back();
  }
  entries_.push_front({{ids.begin(), ids.end()}, std::move(cache), bytes});
  bytes_ += bytes;
}

}  // namespace ettin
