#include "text/unicode.h"

#include <algorithm>
#include <cstring>

#include <utf8proc.h>

namespace ettin {
namespace {

constexpr char32_t kCodePoints = 0x110000;

CharClass class_of(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::number;
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return CharClass::space;
    default:
      return CharClass::other;
  }
}

// The controls that are White_Space; with category Z they are all of it (PropList.txt).
bool is_space_control(char32_t c) { return (c >= 0x09 && c <= 0x0d) || c == 0x85; }

// \w as Rust's regex defines it: Alphabetic, M, Nd, Pc and Join_Control. utf8proc does not know
// Alphabetic; beyond L, Nl and M it holds only these symbols (DerivedCoreProperties.txt).
bool is_word_symbol(char32_t c) {
  return c == 0x200c || c == 0x200d || (c >= 0x24b6 && c <= 0x24e9) ||
         (c >= 0x1f130 && c <= 0x1f149) || (c >= 0x1f150 && c <= 0x1f169) ||
         (c >= 0x1f170 && c <= 0x1f189);
}

bool is_word_category(utf8proc_category_t category) {
  switch (category) {
    case UTF8PROC_CATEGORY_MN:
    case UTF8PROC_CATEGORY_MC:
    case UTF8PROC_CATEGORY_ME:
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_PC:
      return true;
    default:
      return class_of(category) == CharClass::letter;
  }
}

bool is_assigned(utf8proc_category_t category) {
  return category != UTF8PROC_CATEGORY_CN && category != UTF8PROC_CATEGORY_CO &&
         category != UTF8PROC_CATEGORY_CS;
}

}  // namespace

uint8_t combining_class(char32_t c) {
  return static_cast<uint8_t>(
      utf8proc_get_property(static_cast<utf8proc_int32_t>(c))->combining_class);
}

size_t decompose(char32_t c, char32_t (&out)[kMaxDecomposition]) {
  utf8proc_int32_t parts[kMaxDecomposition];
  int boundary = 0;
  const auto n = utf8proc_decompose_char(static_cast<utf8proc_int32_t>(c), parts, kMaxDecomposition,
                                         UTF8PROC_DECOMPOSE, &boundary);
  if (n < 1 || n > static_cast<utf8proc_ssize_t>(kMaxDecomposition)) {
    out[0] = c;
    return 1;
  }
  std::copy(parts, parts + n, out);
  return static_cast<size_t>(n);
}

UnicodeTable::UnicodeTable() : facts_(kCodePoints) {
  std::vector<char32_t> assigned;
  for (char32_t c = 0; c < kCodePoints; ++c) {
    const utf8proc_property_t* property = utf8proc_get_property(static_cast<utf8proc_int32_t>(c));
    const auto category = static_cast<utf8proc_category_t>(property->category);
    const CharClass cls = is_space_control(c) ? CharClass::space : class_of(category);
    unsigned facts = static_cast<unsigned>(cls) | kNfcAlone;
    if (is_word_category(category) || is_word_symbol(c)) facts |= kWord;
    if (property->combining_class == 0) facts |= kNfcStart;
    facts_[c] = static_cast<uint8_t>(facts);
    if (is_assigned(category)) assigned.push_back(c);
  }
  add_composites(assigned);
}

// Composition is decomposition read backwards: a character with decomposition s1..sn that NFC gives
// back is the composite of (the composite of s1..s(n-1)) and sn.
void UnicodeTable::add_composites(const std::vector<char32_t>& assigned) {
  struct Candidate {
    char32_t c;
    size_t length;
    char32_t parts[kMaxDecomposition];
  };
  std::vector<Candidate> candidates;
  const uint8_t not_alone = static_cast<uint8_t>(~(kNfcAlone | kNfcStart));
  for (const char32_t c : assigned) {
    Candidate candidate{c, 0, {}};
    candidate.length = decompose(c, candidate.parts);
    if (candidate.length == 1 && candidate.parts[0] == c) continue;
    utf8proc_int32_t recomposed[kMaxDecomposition];
    std::copy(candidate.parts, candidate.parts + candidate.length, recomposed);
    const utf8proc_ssize_t n = utf8proc_normalize_utf32(
        recomposed, static_cast<utf8proc_ssize_t>(candidate.length),
        static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
    if (n == 1 && static_cast<char32_t>(recomposed[0]) == c) {
      candidates.push_back(candidate);
    } else {
      facts_[c] &= not_alone;  // a singleton, or excluded from composition
    }
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [](const Candidate& a, const Candidate& b) { return a.length < b.length; });
  const auto by_pair = [](const Composite& a, const Composite& b) { return a.pair < b.pair; };
  for (size_t i = 0; i < candidates.size();) {
    const size_t length = candidates[i].length;
    std::vector<Composite> found;
    for (; i < candidates.size() && candidates[i].length == length; ++i) {
      const Candidate& x = candidates[i];
      char32_t first = x.parts[0];
      for (size_t k = 1; k + 1 < length; ++k) first = compose(first, x.parts[k]);
      const char32_t second = x.parts[length - 1];
      found.push_back({uint64_t{first} << 32 | second, x.c});
      facts_[second] &= not_alone;
    }
    composites_.insert(composites_.end(), found.begin(), found.end());
    std::sort(composites_.begin(), composites_.end(), by_pair);
  }
  // A composite whose own first part can compose with what precedes it is no safe place to cut.
  for (const Candidate& x : candidates) {
    if ((facts_[x.parts[0]] & kNfcAlone) == 0) facts_[x.c] &= not_alone;
    if (combining_class(x.parts[0]) != 0) facts_[x.c] &= static_cast<uint8_t>(~kNfcStart);
  }
}

char32_t UnicodeTable::compose(char32_t first, char32_t second) const {
  const uint64_t pair = uint64_t{first} << 32 | second;
  const auto it = std::lower_bound(
      composites_.begin(), composites_.end(), pair,
      [](const Composite& composite, uint64_t wanted) { return composite.pair < wanted; });
  return it != composites_.end() && it->pair == pair ? it->composed : 0;
}

const UnicodeTable& unicode_table() {
  static const UnicodeTable table;
  return table;
}

size_t skip_ascii(std::string_view text, size_t from) {
  size_t i = from;
  for (; i + 8 <= text.size(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, text.data() + i, 8);
    if ((word & 0x8080808080808080u) != 0) break;
  }
  while (i < text.size() && static_cast<unsigned char>(text[i]) < 0x80) ++i;
  return i;
}

}  // namespace ettin
