#include "text/added_tokens.h"

#include <algorithm>

namespace ettin {
namespace {

unsigned char byte_at(std::string_view text, size_t at) {
  return static_cast<unsigned char>(text[at]);
}

char32_t code_point_at(std::string_view valid, size_t at) { return next_code_point(valid, &at); }

// Begin of the character that ends at `end` (> 0).
size_t previous_character(std::string_view valid, size_t end) {
  size_t at = end - 1;
  while (is_continuation(valid[at])) --at;
  return at;
}

}  // namespace

AddedTokenMatcher::AddedTokenMatcher(std::vector<AddedToken> tokens) : tokens_(std::move(tokens)) {
  std::stable_sort(tokens_.begin(), tokens_.end(),
                   [](const AddedToken& a, const AddedToken& b) { return a.content < b.content; });
  const auto same = [](const AddedToken& a, const AddedToken& b) { return a.content == b.content; };
  tokens_.erase(std::unique(tokens_.begin(), tokens_.end(), same), tokens_.end());
  for (const AddedToken& token : tokens_) {
    const size_t high = size_t{byte_at(token.content, 0)} << 8;
    first_[high >> 8] = true;
    if (token.content.size() > 1) {
      first_two_.set(high | byte_at(token.content, 1));
    } else {
      for (size_t low = 0; low < 256; ++low) first_two_.set(high | low);
    }
  }
}

size_t AddedTokenMatcher::candidate(std::string_view text, size_t from) const {
  if (tokens_.empty()) return text.size();
  const auto is_first = [&](size_t i) { return first_[byte_at(text, i)]; };
  for (size_t i = from; i < text.size(); ++i) {
    // Most bytes begin no token: four at a time.
    while (i + 4 < text.size() &&
           !(is_first(i) | is_first(i + 1) | is_first(i + 2) | is_first(i + 3))) {
      i += 4;
    }
    if (!is_first(i)) continue;
    if (i + 1 == text.size() || first_two_[size_t{byte_at(text, i)} << 8 | byte_at(text, i + 1)]) {
      return i;
    }
  }
  return text.size();
}

// The sorted list serves as a trie: [low, high) are the tokens that begin with what was read.
const AddedToken* AddedTokenMatcher::longest_at(std::string_view text, size_t at) const {
  const AddedToken* found = nullptr;
  auto low = tokens_.begin();
  auto high = tokens_.end();
  for (size_t depth = 0; at + depth < text.size(); ++depth) {
    const unsigned char wanted = byte_at(text, at + depth);
    if (byte_at(low->content, depth) != wanted ||
        byte_at(std::prev(high)->content, depth) != wanted) {
      low = std::lower_bound(low, high, wanted, [&](const AddedToken& token, unsigned char byte) {
        return byte_at(token.content, depth) < byte;
      });
      high = std::upper_bound(low, high, wanted, [&](unsigned char byte, const AddedToken& token) {
        return byte < byte_at(token.content, depth);
      });
      if (low == high) break;
    }
    if (low->content.size() == depth + 1) {
      found = &*low;
      if (++low == high) break;
    }
  }
  return found;
}

std::optional<AddedMatch> AddedTokenMatcher::Matches::next() {
  while (true) {
    const size_t at = matcher_.candidate(text_, search_);
    if (at == text_.size()) return std::nullopt;
    const AddedToken* token = matcher_.longest_at(text_, at);
    if (token == nullptr) {
      search_ = at + 1;
      continue;
    }
    AddedMatch match{token->id, at, at + token->content.size()};
    search_ = match.end;
    if (token->single_word && !is_single_word(match.begin, match.end)) continue;
    if (token->lstrip) match.begin = std::max(space_begin(match.begin), covered_);
    if (token->rstrip) match.end = space_end(match.end);
    // A token of white space inside what an rstrip swallowed is still a match, of what is left.
    match.begin = std::min(match.begin, match.end);
    covered_ = match.end;
    return match;
  }
}

size_t AddedTokenMatcher::Matches::space_begin(size_t end) const {
  const UnicodeTable& unicode = unicode_table();
  size_t at = end;
  while (at > covered_) {
    const size_t previous = previous_character(text_, at);
    if (!unicode.is_space(code_point_at(text_, previous))) break;
    at = previous;
  }
  return at;
}

size_t AddedTokenMatcher::Matches::space_end(size_t begin) {
  const UnicodeTable& unicode = unicode_table();
  // Tokens inside one run of white space would otherwise each walk to its end.
  size_t at = std::max(begin, std::min(space_run_, text_.size()));
  while (at < text_.size()) {
    size_t next = at;
    if (!unicode.is_space(next_code_point(text_, &next))) break;
    at = next;
  }
  space_run_ = at;
  return at;
}

bool AddedTokenMatcher::Matches::is_single_word(size_t begin, size_t end) const {
  const UnicodeTable& unicode = unicode_table();
  if (begin > 0 && unicode.is_word(code_point_at(text_, previous_character(text_, begin)))) {
    return false;
  }
  return end == text_.size() || !unicode.is_word(code_point_at(text_, end));
}

}  // namespace ettin
