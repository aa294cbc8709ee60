#include "text/text_encoder.h"

#include <algorithm>
#include <utility>

#include "text/nfc.h"
#include "text/pretokenize.h"
#include "text/source_text.h"
#include "text/unicode.h"

namespace ettin {
namespace {

Offset make_offset(size_t begin, size_t end) {
  return {static_cast<uint32_t>(begin), static_cast<uint32_t>(end)};
}

std::string nfc_of(const std::string& text) {
  std::string out;
  to_nfc(text, &out, nullptr);
  return out;
}

// The tokens with this `normalized` flag, special ones first: of equal contents the first counts.
std::vector<AddedToken> select(const std::vector<AddedToken>& tokens, bool normalized,
                               bool normalize_nfc) {
  std::vector<AddedToken> out;
  for (const bool special : {true, false}) {
    for (const AddedToken& token : tokens) {
      if (token.normalized != normalized || token.special != special) continue;
      out.push_back(token);
      if (normalized && normalize_nfc) out.back().content = nfc_of(token.content);
    }
  }
  return out;
}

// White space at either end of a token. The byte-level alphabet writes a space as U+0120.
struct Margins {
  uint32_t leading = 0;
  uint32_t trailing = 0;
};

Margins margins_of(std::string_view token) {
  Margins margins;
  bool only_space = true;
  for (size_t i = 0; i < token.size();) {
    const char32_t c = next_code_point(token, &i);
    if (c == 0x120 || unicode_table().is_space(c)) {
      margins.leading += only_space ? 1 : 0;
      ++margins.trailing;
    } else {
      only_space = false;
      margins.trailing = 0;
    }
  }
  return margins;
}

void trim(Margins margins, Offset* offset) {
  offset->begin = std::min(offset->begin + margins.leading, offset->end);
  if (offset->end >= margins.trailing) {
    offset->end = std::max(offset->end - margins.trailing, offset->begin);
  }
}

}  // namespace

// Takes a cache out of the idle ones, or a new one, and puts it back.
class TextEncoder::CacheLease {
 public:
  explicit CacheLease(const TextEncoder& encoder) : encoder_(encoder) {
    {
      const std::lock_guard lock(encoder_.mutex_);
      if (!encoder_.idle_caches_.empty()) {
        cache_ = std::move(encoder_.idle_caches_.back());
        encoder_.idle_caches_.pop_back();
      }
    }
    if (!cache_) cache_ = std::make_unique<WordCache>();
  }
  ~CacheLease() {
    const std::lock_guard lock(encoder_.mutex_);
    encoder_.idle_caches_.push_back(std::move(cache_));
  }
  CacheLease(const CacheLease&) = delete;
  CacheLease& operator=(const CacheLease&) = delete;

  WordCache& cache() { return *cache_; }

 private:
  const TextEncoder& encoder_;
  std::unique_ptr<WordCache> cache_;
};

// One call of encode().
class TextEncoder::Run {
 public:
  Run(const TextEncoder& encoder, std::string_view text, bool with_offsets)
      : encoder_(encoder),
        unicode_(unicode_table()),
        source_(text),
        lease_(encoder),
        cache_(lease_.cache()),
        with_offsets_(with_offsets) {}

  TokenRun encode() {
    const std::string_view text = source_.valid();
    run_.ids.reserve(text.size() / 4 + 16);  // English has about 4.3 bytes a token
    AddedTokenMatcher::Matches matches(encoder_.raw_matcher_, text);
    size_t at = 0;
    while (const auto match = matches.next()) {
      if (at < match->begin) encode_piece(at, match->begin);
      add(*match, text, make_offset(match->begin, match->end));
      at = match->end;
    }
    if (at < text.size()) encode_piece(at, text.size());
    if (with_offsets_) convert_places();
    return std::move(run_);
  }

 private:
  // Text between added tokens that are sought before normalisation.
  void encode_piece(size_t begin, size_t end) {
    piece_begin_ = begin;
    piece_ = source_.valid().substr(begin, end - begin);
    origins_.clear();
    if (encoder_.rules_.normalize_nfc && !is_nfc(piece_)) {
      to_nfc(piece_, &normalized_, with_offsets_ ? &origins_ : nullptr);
      piece_ = normalized_;
    }
    AddedTokenMatcher::Matches matches(encoder_.normalized_matcher_, piece_);
    size_t at = 0;
    while (const auto match = matches.next()) {
      if (at < match->begin) encode_words(at, match->begin);
      add(*match, piece_, with_offsets_ ? origin(match->begin, match->end) : Offset());
      at = match->end;
    }
    if (at < piece_.size()) encode_words(at, piece_.size());
  }

  // A stretch of the piece without added tokens; it is split as if it were the whole text.
  void encode_words(size_t begin, size_t end) {
    const std::string_view text = piece_.substr(0, end);
    for (size_t at = begin; at < end;) {
      const size_t word_begin = at;
      at = word_end(unicode_, text, word_begin);
      encode_word(word_begin, at);
    }
  }

  void encode_word(size_t begin, size_t end) {
    const std::string_view word = piece_.substr(begin, end - begin);
    const size_t before = run_.ids.size();
    const auto encode = [&] { encoder_.bpe_.encode(word, &run_.ids); };
    if (word.size() > WordCache::kMaxBytes) {
      encode();
    } else {
      cache_.append(word, piece_.size() - begin, &run_.ids, encode);
    }
    if (with_offsets_) add_word_places(begin, before);
  }

  void add_word_places(size_t begin, size_t first) {
    size_t at = begin;
    for (size_t i = first; i < run_.ids.size(); ++i) {
      const int32_t id = run_.ids[i];
      const size_t next = at + encoder_.vocabulary_.bytes(id).size();
      add_place(origin(at, next), encoder_.vocabulary_.spelling(id));
      at = next;
    }
  }

  void add(const AddedMatch& match, std::string_view text, Offset place) {
    run_.ids.push_back(match.id);
    if (with_offsets_) add_place(place, text.substr(match.begin, match.end - match.begin));
  }

  // `token`: what Hugging Face's `tokenizers` takes for the token when it trims offsets.
  void add_place(Offset place, std::string_view token) {
    places_.push_back(place);
    if (encoder_.rules_.trim_offsets) margins_.push_back(margins_of(token));
  }

  void convert_places() {
    run_.char_offsets.reserve(places_.size());
    run_.byte_offsets.reserve(places_.size());
    for (const Offset place : places_) {
      run_.char_offsets.push_back(source_.characters(place));
      run_.byte_offsets.push_back(source_.given_bytes(place));
    }
    for (size_t i = 0; i < margins_.size(); ++i) {
      trim(margins_[i], &run_.char_offsets[i]);
      trim(margins_[i], &run_.byte_offsets[i]);
    }
  }

  // Where a range of the piece comes from in the source: whole characters.
  Offset origin(size_t begin, size_t end) const {
    if (!origins_.empty()) {
      const size_t first = std::min(begin, end - 1);
      return make_offset(piece_begin_ + origins_[first].begin,
                         piece_begin_ + origins_[end - 1].end);
    }
    while (begin < piece_.size() && begin > 0 && is_continuation(piece_[begin])) --begin;
    while (end < piece_.size() && is_continuation(piece_[end])) ++end;
    return make_offset(piece_begin_ + begin, piece_begin_ + end);
  }

  const TextEncoder& encoder_;
  const UnicodeTable& unicode_;
  SourceText source_;
  CacheLease lease_;
  WordCache& cache_;
  const bool with_offsets_;
  TokenRun run_;
  std::vector<Offset> places_;    // of the tokens, in the source
  std::vector<Margins> margins_;  // of the tokens; empty unless offsets are trimmed

  std::string_view piece_;
  size_t piece_begin_ = 0;
  std::string normalized_;
  std::vector<Offset> origins_;  // of each byte of a normalised piece; empty when it is unchanged
};

TextEncoder::TextEncoder(const Vocabulary& vocabulary, Bpe bpe,
                         const std::vector<AddedToken>& added_tokens, Rules rules)
    : vocabulary_(vocabulary),
      bpe_(std::move(bpe)),
      rules_(rules),
      raw_matcher_(select(added_tokens, false, rules.normalize_nfc)),
      normalized_matcher_(select(added_tokens, true, rules.normalize_nfc)) {}

TokenRun TextEncoder::encode(std::string_view text, bool with_offsets) const {
  return Run(*this, text, with_offsets).encode();
}

}  // namespace ettin
