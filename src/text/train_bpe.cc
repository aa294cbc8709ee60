#include "text/train_bpe.h"

#include <algorithm>
#include <queue>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "text/byte_hash.h"
#include "text/vocabulary.h"

namespace ettin {
namespace {

constexpr int32_t kBorder = -1;  // between words
constexpr int32_t kInside = -2;  // neither first nor last byte of a token

struct Pair {
  int32_t left, right;

  friend bool operator==(const Pair&, const Pair&) = default;
  friend auto operator<=>(const Pair&, const Pair&) = default;
};

struct PairHash {
  size_t operator()(const Pair& pair) const {
    const uint64_t key =
        uint64_t{static_cast<uint32_t>(pair.left)} << 32 | static_cast<uint32_t>(pair.right);
    return fold_multiply(key ^ hash_seed(), kHashFactor);
  }
};

struct Occurrences {
  int64_t count = 0;             // over all texts
  std::vector<uint32_t> places;  // of left tokens, ascending; some may be gone by now
};

struct Candidate {
  int64_t count;  // at least what it is now: counts of old pairs only fall
  Pair pair;

  // std::priority_queue has the greatest on top.
  friend bool operator<(const Candidate& a, const Candidate& b) {
    return a.count != b.count ? a.count < b.count : a.pair > b.pair;
  }
};

// All words one after the other with borders around them, a slot for each byte. A token's id is in
// the slots of its first and its last byte, so both neighbours are found from its length.
class Trainer {
 public:
  Trainer(const WordCounts& words, const BpeTrainOptions& options)
      : wanted_(static_cast<size_t>(options.entries)), min_frequency_(options.min_frequency) {
    for (const uint8_t byte : byte_symbol_order()) {
      out_.tokens.emplace_back(1, static_cast<char>(byte));
    }
    fill_slots(words);
    count_byte_pairs();
  }

  TrainedBpe train() {
    while (out_.tokens.size() < wanted_ && !candidates_.empty()) {
      Candidate top = candidates_.top();
      candidates_.pop();
      const auto found = pairs_.find(top.pair);
      if (found->second.count < top.count) {
        top.count = found->second.count;
        if (top.count >= min_frequency_) {
          candidates_.push(top);
        } else {
          pairs_.erase(found);
        }
        continue;
      }
      const std::vector<uint32_t> places = std::move(found->second.places);
      pairs_.erase(found);
      merge(top.pair, places);
    }
    return std::move(out_);
  }

 private:
  void fill_slots(const WordCounts& words) {
    std::array<int32_t, kByteSymbols> symbol{};
    for (int32_t id = 0; id < kByteSymbols; ++id) {
      symbol[byte_symbol_order()[static_cast<size_t>(id)]] = id;
    }
    slots_.push_back(kBorder);
    word_of_.push_back(0);
    for (size_t i = 0; i < words.size(); ++i) {
      const auto [bytes, count] = words.word(i);
      for (const char c : bytes) slots_.push_back(symbol[static_cast<uint8_t>(c)]);
      slots_.push_back(kBorder);
      word_of_.insert(word_of_.end(), bytes.size() + 1, static_cast<uint32_t>(i));
      counts_.push_back(count);
      out_.token_count += count * static_cast<int64_t>(bytes.size());
    }
  }

  void count_byte_pairs() {
    std::vector<Occurrences> table(size_t{kByteSymbols} * kByteSymbols);
    const auto for_each = [&](auto use) {
      for (size_t at = 0; at + 1 < slots_.size(); ++at) {
        if (slots_[at] == kBorder || slots_[at + 1] == kBorder) continue;
        use(&table[static_cast<size_t>(slots_[at] * kByteSymbols + slots_[at + 1])], at);
      }
    };
    for_each([&](Occurrences* pair, size_t at) { pair->count += counts_[word_of_[at]]; });
    for_each([&](Occurrences* pair, size_t at) {
      if (pair->count >= min_frequency_) pair->places.push_back(static_cast<uint32_t>(at));
    });
    for (size_t i = 0; i < table.size(); ++i) {
      const auto id = static_cast<int32_t>(i);
      offer({id / kByteSymbols, id % kByteSymbols}, std::move(table[i]));
    }
  }

  // A new pair. Its count will only fall, so one that is too rare is forgotten at once.
  void offer(Pair pair, Occurrences occurrences) {
    if (occurrences.count < min_frequency_) return;
    if (length(pair.left) + length(pair.right) > kLongestTrainedToken) return;
    candidates_.push({occurrences.count, pair});
    pairs_.emplace(pair, std::move(occurrences));
  }

  void merge(Pair pair, const std::vector<uint32_t>& places) {
    merged_ = static_cast<int32_t>(out_.tokens.size());
    out_.tokens.push_back(out_.tokens[static_cast<size_t>(pair.left)] +
                          out_.tokens[static_cast<size_t>(pair.right)]);
    out_.merges.push_back({pair.left, pair.right, merged_});
    for (const uint32_t at : places) {
      // Since the place was noted, either token may have become part of another.
      const size_t second = at + length(pair.left);
      if (slots_[at] == pair.left && slots_[second] == pair.right) merge_at(pair, at, second);
    }
    for (Neighbours* side : {&before_, &after_}) {
      for (const int32_t id : side->ids) {
        const Pair made = side == &before_ ? Pair{id, merged_} : Pair{merged_, id};
        offer(made, std::exchange(side->of[static_cast<size_t>(id)], {}));
      }
      side->ids.clear();
    }
  }

  void merge_at(Pair pair, size_t at, size_t second) {
    const size_t end = second + length(pair.right);
    const int64_t count = counts_[word_of_[at]];
    const int32_t previous = slots_[at - 1], next = slots_[end];
    slots_[second - 1] = slots_[second] = kInside;
    slots_[at] = slots_[end - 1] = merged_;
    out_.token_count -= count;
    if (previous != kBorder) {
      lose({previous, pair.left}, count);
      gain({previous, merged_}, count, at - length(previous));
    }
    if (next != kBorder) {
      lose({pair.right, next}, count);
      gain({merged_, next}, count, at);
    }
  }

  // What stands beside the token that is being made.
  struct Neighbours {
    std::vector<Occurrences> of;  // by id
    std::vector<int32_t> ids;     // whose entry in `of` is in use

    Occurrences& at(int32_t id) {
      if (of.size() <= static_cast<size_t>(id)) of.resize(static_cast<size_t>(id) + 1);
      return of[static_cast<size_t>(id)];
    }
  };

  Occurrences& made(Pair pair) {
    return pair.left == merged_ ? after_.at(pair.right) : before_.at(pair.left);
  }

  void gain(Pair pair, int64_t count, size_t at) {
    Occurrences& occurrences = made(pair);
    if (occurrences.places.empty()) {
      (pair.left == merged_ ? after_.ids : before_.ids)
          .push_back(pair.left == merged_ ? pair.right : pair.left);
    }
    occurrences.count += count;
    occurrences.places.push_back(static_cast<uint32_t>(at));
  }

  void lose(Pair pair, int64_t count) {
    if (pair.left == merged_ || pair.right == merged_) {
      made(pair).count -= count;
    } else if (const auto found = pairs_.find(pair); found != pairs_.end()) {
      found->second.count -= count;
    }
  }

  size_t length(int32_t id) const { return out_.tokens[static_cast<size_t>(id)].size(); }

  size_t wanted_;
  int64_t min_frequency_;
  std::vector<int32_t> slots_;
  std::vector<uint32_t> word_of_;  // of each slot
  std::vector<int64_t> counts_;    // of each word
  std::unordered_map<Pair, Occurrences, PairHash> pairs_;
  std::priority_queue<Candidate> candidates_;
  int32_t merged_ = -1;  // the token that is being made
  Neighbours before_, after_;
  TrainedBpe out_;
};

}  // namespace

const std::array<uint8_t, kByteSymbols>& byte_symbol_order() {
  static const auto order = [] {
    std::array<uint8_t, kByteSymbols> bytes{};
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i);
    // UTF-8 sorts as the characters do.
    std::sort(bytes.begin(), bytes.end(), [](uint8_t a, uint8_t b) {
      return ByteAlphabet::get().spelling(a) < ByteAlphabet::get().spelling(b);
    });
    return bytes;
  }();
  return order;
}

Result<TrainedBpe> train_bpe(const WordCounts& words, const BpeTrainOptions& options) {
  if (options.entries < kByteSymbols) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{} BPE entries do not hold the {} byte symbols", options.entries,
                              kByteSymbols),
                  "ask for a larger vocabulary");
  }
  if (options.min_frequency < 1) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("a minimum frequency of {} means nothing", options.min_frequency),
                  "give 1 or more; 2 is usual");
  }
  if (words.size() == 0) {
    return Status(StatusCode::invalid_argument, "there is no text to train a tokenizer on",
                  "give files that hold text");
  }
  uint64_t slots = 1;
  for (size_t i = 0; i < words.size(); ++i) slots += words.word(i).bytes.size() + 1;
  if (slots > UINT32_MAX) {
    return Status(StatusCode::resource_limit, "the texts have more than 4 GiB of distinct words",
                  "train on part of them");
  }
  return Trainer(words, options).train();
}

}  // namespace ettin
