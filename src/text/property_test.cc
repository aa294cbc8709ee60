// What must hold for any text: round trips, streaming, linear time, no influence of the cache.
#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <thread>

#include "text/nfc.h"
#include "text/stream_decoder.h"
#include "text/test_support.h"

namespace ettin::test {
namespace {

const EncodeOptions kBare{.add_special_tokens = false};

std::string round_trip(std::string_view text) {
  return any_tokenizer().decode(any_tokenizer().encode(text, kBare).ids, false, false);
}

std::string nfc(std::string_view text) {
  std::string out;
  to_nfc(text, &out, nullptr);
  return out;
}

TEST(Property, EveryCharacterSurvivesAloneAndInContext) {
  size_t failures = 0;
  for (char32_t c = 0; c < 0x110000; ++c) {
    if (c >= 0xd800 && c < 0xe000) continue;
    const std::string one = utf8_of(c);
    // Next to letters, digits and spaces, doubled, and where a mark can compose with it.
    for (const std::string& text : {one, "a" + one + "1", " " + one + one, one + "\u0301 x"}) {
      if (round_trip(text) != nfc(text) && ++failures < 10) {
        ADD_FAILURE() << "U+" << std::hex << static_cast<uint32_t>(c) << " in \"" << text << "\"";
      }
    }
  }
  EXPECT_EQ(failures, 0U);
}

TEST(Property, EveryTokenSurvives) {
  for (int32_t id = 0; id < any_tokenizer().vocab_size(); ++id) {
    const std::string bytes = any_tokenizer().decode_bytes(id);
    if (is_valid_utf8(bytes)) {
      EXPECT_EQ(round_trip(bytes), nfc(bytes)) << id;
    }
  }
}

std::vector<int32_t> random_ids(Dice& dice) {
  std::vector<int32_t> ids;
  for (size_t n = dice.below(12); n > 0; --n) {
    // Ids of single bytes, and so of broken characters, come often; some ids do not exist.
    const size_t limit =
        dice.below(2) == 0 ? 250 : static_cast<size_t>(any_tokenizer().vocab_size()) + 3;
    ids.push_back(static_cast<int32_t>(dice.below(limit)) - 1);
  }
  return ids;
}

TEST(Property, StreamingEqualsDecodingAndIsValid) {
  Dice dice(2);
  for (int round = 0; round < 20000; ++round) {
    const std::vector<int32_t> ids = random_ids(dice);
    for (const bool skip : {false, true}) {
      StreamDecoder stream(any_tokenizer(), skip);
      std::string all;
      for (const int32_t id : ids) {
        const std::string piece = stream.push(id);
        EXPECT_TRUE(is_valid_utf8(piece));
        all += piece;
      }
      all += stream.finish();
      EXPECT_EQ(all, any_tokenizer().decode(ids, skip, false));
      EXPECT_EQ(stream.finish(), "");
    }
  }
}

TEST(Property, StreamingHoldsBackHalfCharacters) {
  // Every split of a text of 1 to 4 bytes a character into tokens of one byte.
  const std::string text = "a\u00e9\u4e2d\U0001f600";
  StreamDecoder stream(any_tokenizer());
  std::vector<std::string> pieces;
  for (const char c : text) {
    for (int32_t id = 0; id < any_tokenizer().vocab_size(); ++id) {
      if (any_tokenizer().decode_bytes(id) == std::string(1, c)) {
        pieces.push_back(stream.push(id));
        break;
      }
    }
  }
  EXPECT_EQ(pieces, (std::vector<std::string>{"a", "", "\u00e9", "", "", "\u4e2d", "", "", "",
                                              "\U0001f600"}));
  EXPECT_EQ(stream.finish(), "");
}

// Quadratic work on any of these would take hours; linear work takes under a second each.
TEST(Property, AMegabyteOfAnythingIsFast) {
  const auto repeat = [](std::string_view unit, size_t bytes) {
    std::string out;
    while (out.size() < bytes) out += unit;
    return out;
  };
  const size_t size = size_t{1} << 20;
  std::string every_byte;
  for (int i = 0; i < 256; ++i) every_byte.push_back(static_cast<char>(i));
  std::vector<std::string> texts;
  for (const std::string& unit : std::vector<std::string>{" ",
                                                          "\n",
                                                          "a",
                                                          "'s",
                                                          "7",
                                                          "\u00a0",
                                                          "\u0301",
                                                          "\u0316\u0301",
                                                          "\U0001f468\u200d",
                                                          "[MASK]",
                                                          " [MASK]",
                                                          "a ",
                                                          " \n",
                                                          every_byte,
                                                          "abcdefghijklmnopqrstuvwxyz",
                                                          "=",
                                                          "\u1100",
                                                          "e\u0301",
                                                          "  [MASK",
                                                          "the"}) {
    texts.push_back(repeat(unit, size));
  }
  texts.push_back(repeat(" ", size) + "x");
  texts.push_back("a" + repeat("\u0316\u0301", size));
  EncodeOptions options;
  options.with_offsets = true;
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& text : texts) {
    const Encoding e = any_tokenizer().encode(text, options);
    EXPECT_FALSE(e.ids.empty());
  }
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(120));
}

TEST(Property, WordsSeenBeforeDoNotChangeResults) {
  Dice dice(3);
  const std::vector<std::string> pieces{" the",           " of", "x", "Zorg", "123", "!?",
                                        " \u00e9t\u00e9", "\n",  "  "};
  const auto fresh = must_load(kSeedling);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (size_t n = dice.below(12); n > 0; --n) text += dice.pick(pieces);
    text.resize(text.size() - std::min<size_t>(text.size(), dice.below(3)));
    const std::vector<int32_t> first = fresh->encode(text).ids;
    EXPECT_EQ(fresh->encode(text).ids, first);
    if (round % 200 == 0) {
      EXPECT_EQ(must_load(kSeedling)->encode(text).ids, first);
    }
  }
}

TEST(Property, ThreadsAgree) {
  std::vector<std::string> texts;
  Dice dice(4);
  for (int i = 0; i < 200; ++i) {
    std::string text;
    for (size_t n = dice.below(200); n > 0; --n)
      text += utf8_of(static_cast<char32_t>(32 + dice.below(600)));
    texts.push_back(text);
  }
  std::vector<std::vector<int32_t>> expected;
  for (const std::string& text : texts) expected.push_back(any_tokenizer().encode(text).ids);
  std::vector<std::thread> threads;
  std::vector<size_t> differences(4, 0);
  for (size_t t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < texts.size(); ++i) {
        differences[t] += any_tokenizer().encode(texts[i]).ids == expected[i] ? 0 : 1;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(differences, std::vector<size_t>(4, 0));
}

TEST(Property, BrokenBytesAreReadAsReplacementCharacters) {
  Dice dice(5);
  for (int round = 0; round < 5000; ++round) {
    std::string text;
    for (size_t n = dice.below(20); n > 0; --n) text.push_back(static_cast<char>(dice.below(256)));
    const std::string valid = replace_invalid_utf8(text);
    EXPECT_EQ(any_tokenizer().encode(text).ids, any_tokenizer().encode(valid).ids);
    EXPECT_EQ(round_trip(text), nfc(valid));
  }
}

}  // namespace
}  // namespace ettin::test
