// The ids of words seen before, in tables of fixed size. It holds what Bpe answers and so never
// changes a result. Not thread-safe: one per running call.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/byte_hash.h"

namespace ettin {

// Words of 1 to 8 * kKeyWords - 1 bytes with at most kMaxIds ids; two places for each word.
template <size_t kKeyWords, size_t kMaxIds>
class WordTable {
 public:
  static constexpr size_t kMaxBytes = 8 * kKeyWords - 1;
  using Key = std::array<uint64_t, kKeyWords>;  // the bytes, zeros, and the length as last byte

  explicit WordTable(size_t entries) : entries_(entries), set_mask_(entries - 2) {}

  // `readable`: bytes that may be read from where the word begins.
  static Key key_of(std::string_view word, size_t readable) {
    Key key{};
    if (readable >= sizeof(key)) {
      // One load of fixed size and a mask are faster than a copy of variable length.
      std::memcpy(key.data(), word.data(), sizeof(key));
      for (size_t i = 0; i < kKeyWords; ++i) key[i] &= mask(word.size(), i);
    } else {
      std::memcpy(key.data(), word.data(), word.size());
    }
    key.back() |= uint64_t{word.size()} << 56;
    return key;
  }

  std::optional<std::span<const int32_t>> find(const Key& key) const {
    const Entry* set = &entries_[first_of_set(key)];
    if (equal(set[0].key, key)) return set[0].view();
    if (equal(set[1].key, key)) return set[1].view();
    return std::nullopt;
  }

  // False, and nothing kept, when there are too many ids. The older word of the set goes.
  bool insert(const Key& key, std::span<const int32_t> ids) {
    if (ids.size() > kMaxIds) return false;
    Entry* set = &entries_[first_of_set(key)];
    set[1] = set[0];
    set[0].key = key;
    set[0].count = static_cast<int32_t>(ids.size());
    std::copy(ids.begin(), ids.end(), set[0].ids.begin());
    return true;
  }

 private:
  struct Entry {
    Key key{};
    std::array<int32_t, kMaxIds> ids{};
    int32_t count = 0;

    std::span<const int32_t> view() const { return {ids.data(), static_cast<size_t>(count)}; }
  };

  size_t first_of_set(const Key& key) const {
    uint64_t hash = 0;
    for (size_t i = 0; i < kKeyWords; i += 2) {
      hash ^= fold_multiply(key[i] ^ kHashFactor, key[i + 1] ^ (kHashFactor >> (i + 1)));
    }
    return hash & set_mask_;
  }

  // Without branches, which == of std::array is not.
  static bool equal(const Key& a, const Key& b) {
    uint64_t difference = 0;
    for (size_t i = 0; i < kKeyWords; ++i) difference |= a[i] ^ b[i];
    return difference == 0;
  }

  // Keeps the first `size` bytes of a key when applied to its word `i`.
  static uint64_t mask(size_t size, size_t i) {
    const size_t kept = size > 8 * i ? size - 8 * i : 0;
    return kept >= 8 ? ~uint64_t{0} : (uint64_t{1} << (8 * kept)) - 1;
  }

  std::vector<Entry> entries_;
  size_t set_mask_;
};

// Most words are short and get few ids: a small table of them stays near the processor.
class WordCache {
 public:
  static constexpr size_t kMaxBytes = 31;

  // Appends the ids of `word` (1 to kMaxBytes bytes) to *ids; those that are not known come from
  // encode(), which appends them.
  template <class Encode>
  void append(std::string_view word, size_t readable, std::vector<int32_t>* ids, Encode encode) {
    const auto add = [ids](std::span<const int32_t> found) {
      for (const int32_t id : found) ids->push_back(id);  // a few: faster than insert()
    };
    Short::Key short_key{};
    const bool is_short = word.size() <= Short::kMaxBytes;
    if (is_short) {
      short_key = Short::key_of(word, readable);
      if (const auto found = short_.find(short_key)) return add(*found);
    }
    const Long::Key long_key = Long::key_of(word, readable);
    if (const auto found = long_.find(long_key)) return add(*found);
    const size_t before = ids->size();
    encode();
    const auto made = std::span<const int32_t>(*ids).subspan(before);
    if (!is_short || !short_.insert(short_key, made)) long_.insert(long_key, made);
  }

 private:
  using Short = WordTable<2, 3>;  // entries of 32 bytes, a set in a cache line
  using Long = WordTable<4, 7>;   // of 64 bytes

  Short short_{size_t{1} << 15};  // 1 MiB
  Long long_{size_t{1} << 13};    // 512 KiB
};

}  // namespace ettin
