#include "text/bpe.h"

#include <bit>
#include <map>
#include <utility>

#include "base/check.h"
#include "text/byte_hash.h"

namespace ettin {
namespace {

constexpr uint32_t kEnd = UINT32_MAX;  // no neighbour

// Symbols as a doubly linked list over an array; a symbol that is gone has id -1.
struct Node {
  int32_t id;
  uint32_t previous;
  uint32_t next;
};

// Where rules may apply: by rank, the places of one rule from left to right. They are pushed in
// that order: what has become one symbol was merged in an order that its own text determines, so
// equal pairs come about in the same pass over the word, and every pass goes from left to right.
class PendingMerges {
 public:
  bool empty() const { return by_rank_.empty(); }

  void push(uint32_t rank, uint32_t place) {
    if (rank != recent_rank_) {
      recent_ = &by_rank_[rank];
      recent_rank_ = rank;
    }
    recent_->places.push_back(place);
  }

  struct Entry {
    uint32_t rank;
    uint32_t place;
  };
  Entry pop() {
    const auto lowest = by_rank_.begin();
    Places& queue = lowest->second;
    const Entry entry{lowest->first, queue.places[queue.next++]};
    if (queue.next == queue.places.size()) {
      if (recent_rank_ == entry.rank) recent_rank_ = MergeTable::kNone;
      by_rank_.erase(lowest);
    }
    return entry;
  }

 private:
  struct Places {
    std::vector<uint32_t> places;
    size_t next = 0;
  };

  std::map<uint32_t, Places> by_rank_;  // none is used up
  uint32_t recent_rank_ = MergeTable::kNone;
  Places* recent_ = nullptr;
};

}  // namespace

MergeTable::MergeTable(size_t rules) : slots_(std::bit_ceil(2 * rules + 1)), seed_(hash_seed()) {
  rules_.reserve(rules);
}

size_t MergeTable::slot_of(int32_t left, int32_t right) const {
  const uint64_t pair = uint64_t{static_cast<uint32_t>(left)} << 32 | static_cast<uint32_t>(right);
  const size_t last = slots_.size() - 1;
  size_t slot = fold_multiply(pair ^ seed_, kHashFactor) & last;
  while (slots_[slot].rank != kNone && (slots_[slot].left != left || slots_[slot].right != right)) {
    slot = (slot + 1) & last;
  }
  return slot;
}

bool MergeTable::add(const MergeRule& rule) {
  Slot& slot = slots_[slot_of(rule.left, rule.right)];
  if (slot.rank != kNone) return false;
  slot = {rule.left, rule.right, static_cast<uint32_t>(rules_.size()), rule.merged};
  rules_.push_back(rule);
  return true;
}

Bpe::Bpe(const Vocabulary& vocabulary, MergeTable merges, bool whole_words)
    : vocabulary_(vocabulary), merges_(std::move(merges)), whole_words_(whole_words) {
  for (unsigned byte = 0; byte < 256; ++byte) {
    symbol_[byte] =
        vocabulary.find_in_model(ByteAlphabet::get().spelling(static_cast<uint8_t>(byte)))
            .value_or(-1);
  }
}

void Bpe::encode(std::string_view word, std::vector<int32_t>* ids) const {
  if (whole_words_) {
    if (const auto id = vocabulary_.find_in_model(ByteAlphabet::get().spell(word))) {
      ids->push_back(*id);
      return;
    }
  }
  if (word.size() <= kScanned) {
    merge_scanning(word, ids);
  } else {
    merge_by_rank(word, ids);
  }
}

void Bpe::merge_scanning(std::string_view word, std::vector<int32_t>* ids) const {
  std::array<int32_t, kScanned> id;
  std::array<MergeTable::Rule, kScanned> rule;  // of symbol i with symbol i + 1
  size_t n = 0;
  for (const char c : word) {
    const int32_t symbol = symbol_[static_cast<uint8_t>(c)];
    if (symbol >= 0) id[n++] = symbol;
  }
  for (size_t i = 0; i + 1 < n; ++i) rule[i] = merges_.find(id[i], id[i + 1]);
  while (n > 1) {
    size_t best = 0;
    for (size_t i = 1; i + 1 < n; ++i) {
      if (rule[i].rank < rule[best].rank) best = i;
    }
    if (rule[best].rank == MergeTable::kNone) break;
    id[best] = rule[best].merged;
    for (size_t i = best + 1; i + 1 < n; ++i) {
      id[i] = id[i + 1];
      rule[i] = rule[i + 1];
    }
    --n;
    if (best > 0) rule[best - 1] = merges_.find(id[best - 1], id[best]);
    if (best + 1 < n) rule[best] = merges_.find(id[best], id[best + 1]);
  }
  ids->insert(ids->end(), id.begin(), id.begin() + static_cast<std::ptrdiff_t>(n));
}

void Bpe::merge_by_rank(std::string_view word, std::vector<int32_t>* ids) const {
  ETTIN_CHECK(word.size() < kEnd);
  std::vector<Node> nodes;
  nodes.reserve(word.size());
  for (const char c : word) {
    const int32_t symbol = symbol_[static_cast<uint8_t>(c)];
    if (symbol < 0) continue;
    const auto at = static_cast<uint32_t>(nodes.size());
    nodes.push_back({symbol, at - 1, at + 1});  // before the first: kEnd by wrapping around
  }
  if (nodes.empty()) return;
  nodes.back().next = kEnd;

  PendingMerges pending;
  const auto offer = [&](uint32_t at) {
    const MergeTable::Rule rule = merges_.find(nodes[at].id, nodes[nodes[at].next].id);
    if (rule.rank != MergeTable::kNone) pending.push(rule.rank, at);
  };
  for (uint32_t i = 0; i + 1 < nodes.size(); ++i) offer(i);
  while (!pending.empty()) {
    const auto [rank, at] = pending.pop();
    const MergeRule& rule = merges_.of_rank(rank);
    Node& left = nodes[at];
    // The place was offered before one of its symbols took part in another merge.
    if (left.id != rule.left || left.next == kEnd || nodes[left.next].id != rule.right) continue;
    Node& right = nodes[left.next];
    left.id = rule.merged;
    right.id = -1;
    left.next = right.next;
    if (left.previous != kEnd) offer(left.previous);
    if (left.next != kEnd) {
      nodes[left.next].previous = at;
      offer(at);
    }
  }
  for (uint32_t at = 0; at != kEnd; at = nodes[at].next) ids->push_back(nodes[at].id);
}

}  // namespace ettin
