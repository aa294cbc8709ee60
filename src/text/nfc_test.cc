#include "text/nfc.h"

#include <cstdio>
#include <cstdlib>
#include <set>
#include <sstream>
#include <utility>

#include "text/test_support.h"
#include "text/unicode.h"

namespace ettin::test {
namespace {

std::string nfc(std::string_view text) {
  std::string out;
  to_nfc(text, &out, nullptr);
  return out;
}

// NFC as UAX #15 writes it down: decompose all, order by exchanging neighbours, compose all. The
// facts about characters are those of unicode.h, which the conformance file tests.
std::string nfc_written_out(std::string_view text) {
  std::u32string all;
  for (size_t i = 0; i < text.size();) {
    char32_t parts[kMaxDecomposition];
    const size_t n = decompose(next_code_point(text, &i), parts);
    all.append(parts, n);
  }
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t i = 1; i < all.size(); ++i) {
      const int before = combining_class(all[i - 1]);
      const int after = combining_class(all[i]);
      if (after == 0 || before <= after) continue;
      std::swap(all[i - 1], all[i]);
      changed = true;
    }
  }
  for (size_t starter = 0; starter < all.size(); ++starter) {
    if (combining_class(all[starter]) != 0) continue;
    int last = -1;
    for (size_t i = starter + 1; i < all.size();) {
      const int combining = combining_class(all[i]);
      const char32_t composed =
          last < combining ? unicode_table().compose(all[starter], all[i]) : 0;
      if (composed != 0) {
        all[starter] = composed;
        all.erase(i, 1);
        continue;
      }
      if (combining == 0) break;
      last = combining;
      ++i;
    }
  }
  std::string out;
  for (const char32_t c : all) append_utf8(c, &out);
  return out;
}

// The text of the conformance file, or empty. Debian 12 has it compressed.
std::string conformance_file() {
  const std::string path = "/usr/share/unicode/NormalizationTest.txt";
  if (file_exists(path)) return slurp(path);
  if (!file_exists(path + ".bz2")) return {};
  std::string out;
  std::FILE* pipe = ::popen(("bzip2 -dc " + path + ".bz2 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return {};
  char block[1 << 16];
  for (size_t n = 0; (n = std::fread(block, 1, sizeof(block), pipe)) > 0;) out.append(block, n);
  ::pclose(pipe);
  return out;
}

std::string decode_column(const std::string& column) {
  std::istringstream in(column);
  std::string out;
  for (uint32_t c = 0; in >> std::hex >> c;) append_utf8(c, &out);
  return out;
}

TEST(Nfc, ConformsToUnicode) {
  const std::string file = conformance_file();
  if (file.empty())
    GTEST_SKIP() << "SKIPPED: Debian's unicode-data is not installed: nothing compared";
  std::istringstream lines(file);
  size_t tests = 0;
  bool single_characters = false;  // in part 1
  std::set<std::string> listed;
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("@Part")) single_characters = line.starts_with("@Part1");
    if (line.empty() || line[0] == '#' || line[0] == '@') continue;
    std::istringstream columns(line);
    std::string c[5];
    for (std::string& column : c) {
      std::getline(columns, column, ';');
      column = decode_column(column);
    }
    ++tests;
    if (single_characters) listed.insert(c[0]);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(nfc(c[i]), c[1]) << line;
    for (int i = 3; i < 5; ++i) EXPECT_EQ(nfc(c[i]), c[3]) << line;
    EXPECT_TRUE(!is_nfc(c[0]) || c[0] == c[1]) << line;
  }
  EXPECT_GT(tests, 18000U);
  // Every character that part 1 does not list is its own NFC.
  EXPECT_GT(listed.size(), 16000U);
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    const std::string text = utf8_of(c);
    if (!listed.contains(text)) {
      ASSERT_EQ(nfc(text), text) << std::hex << static_cast<uint32_t>(c);
    }
  }
}

TEST(Nfc, EqualsTheRuleOnEveryCharacter) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    const std::string text = "e" + utf8_of(c) + "\u0301";
    const std::string expected = nfc_written_out(text);
    ASSERT_EQ(nfc(text), expected) << std::hex << static_cast<uint32_t>(c);
    if (is_nfc(text)) {
      ASSERT_EQ(text, expected) << std::hex << static_cast<uint32_t>(c);
    }
  }
}

std::string random_text(Dice& dice) {
  static const std::vector<std::pair<char32_t, char32_t>> ranges{
      {'a', 'e'},       {0xc0, 0x17f},      {0x300, 0x36f},     {0x591, 0x5bd},
      {0x9be, 0x9d7},   {0xf71, 0xf84},     {0x1100, 0x1112},   {0x1161, 0x1175},
      {0x11a8, 0x11c2}, {0xac00, 0xac40},   {0x1e00, 0x1fff},   {0x3041, 0x309a},
      {0xfb1d, 0xfb4e}, {0x1d15e, 0x1d172}, {0x11131, 0x11134}, {' ', ' '}};
  std::string text;
  for (size_t n = dice.below(24); n > 0; --n) {
    const auto& [low, high] = dice.pick(ranges);
    append_utf8(low + static_cast<char32_t>(dice.below(high - low + 1)), &text);
  }
  return text;
}

TEST(Nfc, EqualsTheRuleOnRandomMarks) {
  Dice dice(21);
  for (int round = 0; round < 50000; ++round) {
    const std::string text = random_text(dice);
    const std::string expected = nfc_written_out(text);
    ASSERT_EQ(nfc(text), expected) << text;
    if (is_nfc(text)) {
      ASSERT_EQ(text, expected);
    }
    EXPECT_EQ(nfc(expected), expected);
  }
}

TEST(Nfc, OriginsAreCharactersInOrder) {
  Dice dice(22);
  for (int round = 0; round < 5000; ++round) {
    const std::string text = random_text(dice);
    std::string out;
    std::vector<Offset> origins;
    to_nfc(text, &out, &origins);
    ASSERT_EQ(origins.size(), out.size());
    uint32_t last = 0;
    for (const Offset origin : origins) {
      EXPECT_GE(origin.begin, last);
      last = origin.begin;
      size_t end = origin.begin;
      next_code_point(text, &end);
      EXPECT_EQ(end, origin.end);
    }
    if (out == text) {
      for (size_t i = 0; i < out.size(); ++i) EXPECT_LE(origins[i].begin, i);
    }
  }
}

TEST(Unicode, WhiteSpaceIsThatOfTheReference) {
  for (char32_t c = 0; c < 0x110000; ++c) {
    const bool space = (c >= 9 && c <= 13) || c == 0x20 || c == 0x85 || c == 0xa0 || c == 0x1680 ||
                       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
                       c == 0x205f || c == 0x3000;
    EXPECT_EQ(unicode_table().is_space(c), space) << std::hex << static_cast<uint32_t>(c);
  }
}

// \w against the property files of Debian's unicode-data: Alphabetic, M, Nd, Pc, Join_Control.
TEST(Unicode, WordCharactersAreThoseOfTheStandard) {
  const std::string properties = "/usr/share/unicode/DerivedCoreProperties.txt";
  const std::string characters = "/usr/share/unicode/UnicodeData.txt";
  if (!file_exists(properties) || !file_exists(characters)) {
    GTEST_SKIP() << "SKIPPED: Debian's unicode-data is not installed: nothing compared";
  }
  std::vector<bool> word(0x110000, false);
  word[0x200c] = word[0x200d] = true;
  std::istringstream lines(slurp(properties));
  for (std::string line; std::getline(lines, line);) {
    if (line.find("; Alphabetic") == std::string::npos) continue;
    char* rest = nullptr;
    const auto low = std::strtoul(line.c_str(), &rest, 16);
    const auto high = *rest == '.' ? std::strtoul(rest + 2, nullptr, 16) : low;
    for (auto c = low; c <= high; ++c) word[c] = true;
  }
  std::istringstream records(slurp(characters));
  for (std::string line; std::getline(records, line);) {
    const size_t name = line.find(';') + 1;
    const std::string category = line.substr(line.find(';', name) + 1, 2);
    if (category[0] == 'M' || category == "Nd" || category == "Pc") {
      word[std::strtoul(line.c_str(), nullptr, 16)] = true;
    }
  }
  size_t differences = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (unicode_table().is_word(c) != word[c] && ++differences < 10) {
      ADD_FAILURE() << std::hex << static_cast<uint32_t>(c);
    }
  }
  EXPECT_EQ(differences, 0U);
}

}  // namespace
}  // namespace ettin::test
