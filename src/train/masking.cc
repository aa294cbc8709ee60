#include "train/masking.h"

#include "base/rng.h"

namespace ettin {
namespace {

// Numbers of one position: which it is used for is part of the index.
enum Draw : uint64_t { kSelect, kChoose, kReplace, kDropout, kDraws };

uint64_t index_of(int64_t position, Draw draw) {
  return static_cast<uint64_t>(position) * kDraws + draw;
}

}  // namespace

uint64_t SequenceKey::stream() const {
  uint64_t h = mix64(static_cast<uint64_t>(phase) + 0x9e3779b97f4a7c15u);
  h = mix64(h ^ static_cast<uint64_t>(epoch));
  return mix64(h + static_cast<uint64_t>(sequence) * 0x9e3779b97f4a7c15u);
}

void mask_tokens(const SequenceKey& key, const MaskingRule& rule, std::span<int32_t> ids,
                 std::vector<int64_t>* positions, std::vector<int32_t>* targets) {
  const uint64_t stream = key.stream();
  for (int64_t i = 0; i < static_cast<int64_t>(ids.size()); ++i) {
    int32_t& id = ids[static_cast<size_t>(i)];
    if (rule.special.contains(id)) continue;
    if (random_uniform(key.seed, stream, index_of(i, kSelect)) >= rule.rate) continue;
    positions->push_back(i);
    targets->push_back(id);
    const double u = random_uniform(key.seed, stream, index_of(i, kChoose));
    if (u < 0.8) {
      id = rule.special.mask;
    } else if (u < 0.9) {
      const double v = random_uniform(key.seed, stream, index_of(i, kReplace));
      id = static_cast<int32_t>(v * static_cast<double>(rule.vocab_size));
    }
  }
}

void append_dropout_keys(const SequenceKey& key, int64_t length, std::vector<uint64_t>* keys) {
  const uint64_t stream = key.stream();
  for (int64_t i = 0; i < length; ++i) {
    keys->push_back(random_bits(key.seed, stream, index_of(i, kDropout)));
  }
}

}  // namespace ettin
