#include "text/nfc.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/unicode.h"

namespace ettin {
namespace {

struct Unit {
  char32_t c;
  int combining;
  int places;  // characters of the given text that it takes up: 0, 1, or more for a composite
};

// One stretch between places where NFC can be cut.
class Segment {
 public:
  void add(char32_t c, Offset place) {
    places_.push_back(place);
    char32_t parts[kMaxDecomposition];
    const size_t n = decompose(c, parts);
    for (size_t i = 0; i < n; ++i) {
      units_.push_back({parts[i], combining_class(parts[i]), i == 0 ? 1 : 0});
    }
  }

  void finish(const UnicodeTable& unicode, std::string* out, std::vector<Offset>* origins) {
    reorder();
    compose(unicode);
    size_t place = 0;
    for (const Unit& unit : units_) {
      // A later part of a decomposition belongs to the character before the current place.
      const size_t at = unit.places > 0 || place == 0 ? place : place - 1;
      const size_t before = out->size();
      append_utf8(unit.c, out);
      if (origins != nullptr) origins->insert(origins->end(), out->size() - before, places_[at]);
      place += static_cast<size_t>(unit.places);
    }
    units_.clear();
    places_.clear();
  }

 private:
  // Sorts each run of marks by combining class; stable, and no slower for a megabyte of marks.
  void reorder() {
    for (auto begin = units_.begin(); begin != units_.end();) {
      if (begin->combining == 0) {
        ++begin;
        continue;
      }
      const auto end =
          std::find_if(begin, units_.end(), [](const Unit& unit) { return unit.combining == 0; });
      const auto lower = [](const Unit& a, const Unit& b) { return a.combining < b.combining; };
      if (!std::is_sorted(begin, end, lower)) std::stable_sort(begin, end, lower);
      begin = end;
    }
  }

  void compose(const UnicodeTable& unicode) {
    Unit* starter = nullptr;
    int last = -1;  // combining class of the unit kept last; -1 right behind the starter
    size_t kept = 0;
    for (const Unit unit : units_) {
      if (starter != nullptr && last < unit.combining) {
        if (const char32_t composed = unicode.compose(starter->c, unit.c); composed != 0) {
          starter->c = composed;
          starter->places += unit.places;
          continue;
        }
      }
      units_[kept] = unit;
      last = unit.combining;
      if (unit.combining == 0) {
        starter = &units_[kept];
        last = -1;
      }
      ++kept;
    }
    units_.resize(kept);
  }

  std::vector<Unit> units_;
  std::vector<Offset> places_;
};

void copy_unchanged(std::string_view valid, size_t begin, size_t end, std::string* out,
                    std::vector<Offset>* origins) {
  out->append(valid.substr(begin, end - begin));
  if (origins == nullptr) return;
  for (size_t i = begin; i < end;) {
    const size_t start = i;
    next_code_point(valid, &i);
    origins->insert(origins->end(), i - start,
                    Offset{static_cast<uint32_t>(start), static_cast<uint32_t>(i)});
  }
}

}  // namespace

bool is_nfc(std::string_view valid) {
  const UnicodeTable& unicode = unicode_table();
  int last = 0;
  for (size_t i = skip_ascii(valid, 0); i < valid.size();) {
    const size_t start = i;
    const char32_t c = next_code_point(valid, &i);
    if (unicode.starts_nfc_segment(c)) {
      last = 0;
      if (c < 0x80) i = skip_ascii(valid, start);
      continue;
    }
    if (!unicode.is_nfc_alone(c)) return false;
    const int combining = combining_class(c);
    if (combining != 0 && combining < last) return false;
    last = combining;
  }
  return true;
}

void to_nfc(std::string_view valid, std::string* out, std::vector<Offset>* origins) {
  const UnicodeTable& unicode = unicode_table();
  out->clear();
  out->reserve(valid.size());
  if (origins != nullptr) {
    origins->clear();
    origins->reserve(valid.size());
  }
  Segment segment;
  size_t copied = 0;  // everything before is in *out
  size_t start = 0;   // where the last segment began
  for (size_t i = 0; i < valid.size();) {
    const size_t at = i;
    if (unicode.starts_nfc_segment(next_code_point(valid, &i))) {
      start = at;
      continue;
    }
    copy_unchanged(valid, copied, start, out, origins);
    size_t end = start;
    for (size_t next = start; next < valid.size(); end = next) {
      const char32_t c = next_code_point(valid, &next);
      if (end != start && unicode.starts_nfc_segment(c)) break;
      segment.add(c, {static_cast<uint32_t>(end), static_cast<uint32_t>(next)});
    }
    segment.finish(unicode, out, origins);
    copied = start = i = end;
  }
  copy_unchanged(valid, copied, valid.size(), out, origins);
}

}  // namespace ettin
