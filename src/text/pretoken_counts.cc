#include "text/pretoken_counts.h"

#include <algorithm>
#include <utility>

#include "base/utf8.h"
#include "text/byte_hash.h"
#include "text/nfc.h"
#include "text/pretokenize.h"
#include "text/unicode.h"

namespace ettin {
namespace {

constexpr size_t kPieceBytes = size_t{128} << 10;  // what one thread takes of a long text

// Is there a character that is no white space right before, or right at, `at`?
bool is_visible(const Utf8Step& step) {
  return step.valid && !unicode_table().is_space(step.code_point);
}
bool visible_at(std::string_view text, size_t at) {
  return at < text.size() && is_visible(decode_utf8(text, at));
}
bool visible_before(std::string_view text, size_t end) {
  if (end == 0) return false;
  size_t at = end - 1;
  while (at > 0 && end - at < 4 && is_continuation(text[at])) --at;
  const Utf8Step step = decode_utf8(text.substr(0, end), at);
  return at + step.length == end && is_visible(step);
}

// Longest first, as the added tokens are found: 25 spaces are 24 and one that joins the next word.
size_t space_run_at(std::string_view text, size_t at) {
  size_t n = 0;
  while (n < kLongestSpaceRun && at + n < text.size() && text[at + n] == ' ') ++n;
  return n >= 2 ? n : 0;
}

// The next run of spaces at or behind `from`; at the end of the text it has length 0.
std::pair<size_t, size_t> next_space_run(std::string_view text, size_t from) {
  const size_t at = text.find("  ", from);
  if (at == std::string_view::npos) return {text.size(), 0};
  return {at, space_run_at(text, at)};
}

}  // namespace

size_t next_text_cut(std::string_view text, size_t from) {
  for (size_t at = from == 0 ? 0 : from - 1;;) {
    const size_t end = text.find('\n', at);
    if (end == std::string_view::npos) return text.size();
    if (visible_before(text, end) && visible_at(text, end + 1)) return end + 1;
    at = end + 1;
  }
}

WordCounts::WordCounts() : slots_(1 << 12) {}

void WordCounts::add(std::string_view word, int64_t count) {
  const uint64_t hash = hash_bytes(word, hash_seed());
  const size_t last = slots_.size() - 1;
  size_t slot = hash & last;
  for (; slots_[slot] != 0; slot = (slot + 1) & last) {
    Entry& entry = entries_[slots_[slot] - 1];
    if (entry.hash == hash && std::string_view(bytes_).substr(entry.begin, entry.size) == word) {
      entry.count += count;
      return;
    }
  }
  entries_.push_back({hash, bytes_.size(), word.size(), count});
  bytes_ += word;
  slots_[slot] = entries_.size();
  if (2 * entries_.size() > slots_.size()) grow();
}

void WordCounts::grow() {
  std::vector<size_t> slots(2 * slots_.size());
  const size_t last = slots.size() - 1;
  for (size_t i = 0; i < entries_.size(); ++i) {
    size_t slot = entries_[i].hash & last;
    while (slots[slot] != 0) slot = (slot + 1) & last;
    slots[slot] = i + 1;
  }
  slots_ = std::move(slots);
}

PretokenCounts::PretokenCounts(bool space_runs, std::shared_ptr<ThreadPool> threads)
    : with_space_runs_(space_runs),
      threads_(std::move(threads)),
      workers_(static_cast<size_t>(threads_->size())) {}

void PretokenCounts::add(std::span<const std::string_view> texts) {
  std::vector<std::string_view> pieces;
  for (const std::string_view text : texts) {
    bytes_ += static_cast<int64_t>(text.size());
    for (size_t at = 0; at < text.size();) {
      const std::string_view rest = text.substr(at);
      const size_t length =
          rest.size() > kPieceBytes ? next_text_cut(rest, kPieceBytes) : rest.size();
      pieces.push_back(rest.substr(0, length));
      at += length;
    }
  }
  threads_->parallel_for(static_cast<int64_t>(pieces.size()), [&](int64_t i, int worker) {
    count_piece(pieces[static_cast<size_t>(i)], &workers_[static_cast<size_t>(worker)]);
  });
}

void PretokenCounts::count_piece(std::string_view piece, Worker* worker) const {
  std::string repaired;
  if (!is_valid_utf8(piece)) {
    repaired = replace_invalid_utf8(piece);
    piece = repaired;
  }
  if (!is_nfc(piece)) {
    to_nfc(piece, &worker->normalized, nullptr);
    piece = worker->normalized;
  }
  for (size_t at = 0; at < piece.size();) {
    const auto [end, run] =
        with_space_runs_ ? next_space_run(piece, at) : std::pair(piece.size(), size_t{0});
    const std::string_view stretch = piece.substr(0, end);  // split as if the text ended here
    while (at < end) {
      const size_t begin = at;
      at = word_end(unicode_table(), stretch, begin);
      worker->words.add(stretch.substr(begin, at - begin), 1);
    }
    at += run;
    worker->space_runs += run > 0 ? 1 : 0;
  }
}

const WordCounts& PretokenCounts::words() {
  WordCounts& all = workers_[0].words;
  for (size_t w = 1; w < workers_.size(); ++w) {
    const WordCounts words = std::exchange(workers_[w].words, WordCounts());
    for (size_t i = 0; i < words.size(); ++i) all.add(words.word(i).bytes, words.word(i).count);
  }
  return all;
}

int64_t PretokenCounts::space_runs() const {
  int64_t sum = 0;
  for (const Worker& worker : workers_) sum += worker.space_runs;
  return sum;
}

}  // namespace ettin
