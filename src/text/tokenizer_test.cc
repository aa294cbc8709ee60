// The whole tokenizer: published results, templates, truncation, offsets, settings files.
#include "text/tokenizer.h"

#include <numeric>

#include "base/json.h"
#include "text/test_support.h"

namespace ettin::test {
namespace {

std::vector<int32_t> ids_of(const Json& list) { return list.get<std::vector<int32_t>>(); }

TEST(Tokenizer, EqualsThePublishedResults) {
  const std::string path = ETTIN_SHARED_DIR "/data/tokenizer/golden.json";
  if (!file_exists(path)) GTEST_SKIP() << "SKIPPED: no " << path << ": nothing compared";
  const auto tokenizer = must_load(kModernBert);
  const auto golden = parse_json_file(path);
  ASSERT_TRUE(golden.ok()) << golden.status().to_string();
  EXPECT_EQ((*golden)["single"].size(), 45U);
  for (const Json& entry : (*golden)["single"]) {
    const auto text = entry["text"].get<std::string>();
    SCOPED_TRACE(text);
    const std::vector<int32_t> ids = ids_of(entry["ids"]);
    EXPECT_EQ(tokenizer->encode(text).ids, ids);
    EXPECT_EQ(tokenizer->decode(ids, true, false), entry["decode_skip_special"].get<std::string>());
    EXPECT_EQ(tokenizer->decode(ids, true, true),
              entry["decode_skip_special_cleanup"].get<std::string>());
    EXPECT_EQ(tokenizer->decode(ids, false, false),
              entry["decode_keep_special"].get<std::string>());
  }
  EXPECT_EQ((*golden)["pair"].size(), 4U);
  for (const Json& entry : (*golden)["pair"]) {
    EXPECT_EQ(
        tokenizer
            ->encode_pair(entry["text"].get<std::string>(), entry["text_pair"].get<std::string>())
            .ids,
        ids_of(entry["ids"]));
  }
}

TEST(Tokenizer, KnowsThePublishedVocabulary) {
  if (!file_exists(kModernBert))
    GTEST_SKIP() << "SKIPPED: no " << kModernBert << ": nothing compared";
  const auto tokenizer = must_load(kModernBert);
  EXPECT_EQ(tokenizer->vocab_size(), 50368);
  EXPECT_EQ(tokenizer->token_id("ĠParis"), 7785);
  EXPECT_EQ(tokenizer->token_string(42268), "ĠLyon");
  EXPECT_EQ(tokenizer->decode_bytes(42268), " Lyon");
  EXPECT_EQ(tokenizer->mask_id(), 50284);
  EXPECT_EQ(tokenizer->unk_id(), 50280);
  for (int32_t id = 0; id < 50368; ++id) {
    EXPECT_EQ(tokenizer->token_id(tokenizer->token_string(id)), id);
    const bool special = id == 1 || id == 50279 || (id >= 50280 && id <= 50284);
    EXPECT_EQ(tokenizer->is_special(id), special) << id;
  }
  EXPECT_EQ(tokenizer->token_id("[MAS"), std::nullopt);
  EXPECT_EQ(tokenizer->token_string(-1), "");
  EXPECT_EQ(tokenizer->token_string(50368), "");
  EXPECT_EQ(tokenizer->decode(std::vector<int32_t>{-5, 7785, 1 << 30}, false), " Paris");
}

TEST(Tokenizer, LoadsTheModelsOfTheRepository) {
  for (const char* model : {"seedling-encoder", "seedling-decoder"}) {
    SCOPED_TRACE(model);
    const auto loaded = Tokenizer::load(std::string(ETTIN_SOURCE_DIR "/models/") + model);
    ASSERT_TRUE(loaded.ok()) << loaded.status().to_string();
    const Tokenizer& tokenizer = **loaded;
    EXPECT_EQ(tokenizer.vocab_size(), 8192);
    EXPECT_EQ(tokenizer.mask_id(), 8191);
    EXPECT_EQ(tokenizer.model_max_length(), 256);
    const std::string text = "Größe:  naïve café — 3,14 €; \u4e2d\u6587 \U0001f600\n\tend";
    const Encoding e = tokenizer.encode(text);
    EXPECT_EQ(e.ids.front(), 8188);
    EXPECT_EQ(e.ids.back(), 8189);
    EXPECT_EQ(tokenizer.decode(e.ids, true, false), text);
  }
  const auto decoder = Tokenizer::load(ETTIN_SOURCE_DIR "/models/seedling-decoder");
  ASSERT_TRUE(decoder.ok());
  EXPECT_EQ((*decoder)->add_bos_token(), true);
  EXPECT_EQ((*decoder)->add_eos_token(), false);
  EXPECT_EQ((*decoder)->bos_id(), 8188);
  EXPECT_EQ((*decoder)->eos_id(), 8189);
}

TEST(Tokenizer, OffsetsReferToTheGivenText) {
  const auto tokenizer = TokenizerJson().must_load();
  EncodeOptions options;
  options.with_offsets = true;
  // An invalid byte and an accented letter, neither with a symbol here: no tokens.
  const Encoding e = tokenizer->encode(
      "ab\xff b\u00e9"
      "a  [MASK]c",
      options);
  EXPECT_EQ(e.ids, (std::vector<int32_t>{8, 5, 4, 1, 0, 10, 2, 9}));
  ASSERT_EQ(e.ids.size(), e.byte_offsets.size());
  ASSERT_EQ(e.ids.size(), e.char_offsets.size());
  EXPECT_EQ(e.byte_offsets.front(), (Offset{0, 0}));
  EXPECT_EQ(e.byte_offsets[1], (Offset{0, 2}));
  const size_t mask = 5;
  EXPECT_EQ(e.byte_offsets[mask], (Offset{8, 16}));  // with the two spaces before it
  EXPECT_EQ(e.char_offsets[mask], (Offset{7, 15}));
  EXPECT_EQ(e.byte_offsets[mask + 1], (Offset{16, 17}));
  EXPECT_TRUE(tokenizer->encode("ab").byte_offsets.empty());
}

TEST(Tokenizer, OffsetsOfComposedCharacters) {
  if (!file_exists(kModernBert))
    GTEST_SKIP() << "SKIPPED: no " << kModernBert << ": nothing compared";
  const auto tokenizer = must_load(kModernBert);
  EncodeOptions options;
  options.with_offsets = true;
  options.add_special_tokens = false;
  // Values of Hugging Face's tokenizers 0.23.3: the mark that was composed belongs to no token.
  EXPECT_EQ(tokenizer->encode("e\u0301a b", options).char_offsets,
            (std::vector<Offset>{{0, 1}, {2, 3}, {3, 5}}));
  EXPECT_EQ(tokenizer->encode("u\u0323\u0308\u0304", options).char_offsets,
            (std::vector<Offset>{{0, 1}, {0, 1}, {2, 3}, {2, 3}, {3, 4}, {3, 4}}));
  EXPECT_EQ(tokenizer->encode("\u01d6\u0323 q", options).char_offsets,
            (std::vector<Offset>{{0, 1}, {0, 1}, {1, 2}, {1, 2}, {1, 2}, {1, 2}, {2, 4}}));
}

TEST(Tokenizer, OffsetsCoverPlainText) {
  EncodeOptions options;
  options.with_offsets = true;
  options.add_special_tokens = false;
  Dice dice(1);
  const std::vector<std::string> pieces{"a",        " ",    "é",      "\u4e2d", "\U0001f600",
                                        "'s",       "the ", "12",     "\n",     "\xff",
                                        "\xe2\x82", "  ",   "[MASK]", "\u3000"};
  for (int round = 0; round < 500; ++round) {
    std::string text;
    for (size_t n = dice.below(30); n > 0; --n) text += dice.pick(pieces);
    const Encoding e = any_tokenizer().encode(text, options);
    uint32_t byte = 0, character = 0;
    for (size_t i = 0; i < e.ids.size(); ++i) {
      // Every byte belongs to a token; pieces of one character share its range.
      EXPECT_LE(e.byte_offsets[i].begin, byte);
      EXPECT_LE(e.char_offsets[i].begin, character);
      EXPECT_GT(e.byte_offsets[i].end, e.byte_offsets[i].begin);
      byte = e.byte_offsets[i].end;
      character = e.char_offsets[i].end;
    }
    EXPECT_EQ(byte, text.size());
  }
}

TEST(Tokenizer, CutsToTheLengthAskedFor) {
  const auto tokenizer = TokenizerJson().must_load();
  const auto cut = [&](int64_t limit) {
    EncodeOptions options;
    options.max_length = limit;
    options.with_offsets = true;
    return tokenizer->encode("abcb", options);  // [CLS] abc b [SEP]
  };
  EXPECT_EQ(cut(0).ids, (std::vector<int32_t>{8, 6, 1, 9}));
  EXPECT_FALSE(cut(4).truncated);
  EXPECT_EQ(cut(4).ids.size(), 4U);
  EXPECT_EQ(cut(3).ids, (std::vector<int32_t>{8, 6, 9}));
  EXPECT_TRUE(cut(3).truncated);
  EXPECT_EQ(cut(3).full_length, 4);
  EXPECT_EQ(cut(3).char_offsets, (std::vector<Offset>{{0, 0}, {0, 3}, {0, 0}}));
  EXPECT_EQ(cut(2).ids, (std::vector<int32_t>{8, 9}));
  EXPECT_EQ(cut(1).ids, (std::vector<int32_t>{8, 9}));  // the template is never cut
}

TEST(Tokenizer, CutsTheLongerOfAPairFirst) {
  const auto tokenizer = TokenizerJson().must_load();
  // Sizes after the cut as Hugging Face's tokenizers gives them for a limit of 7 without a
  // template.
  struct Case {
    size_t text, pair, keep_text, keep_pair;
  };
  for (const Case& c : std::vector<Case>{{0, 0, 0, 0},
                                         {0, 8, 0, 7},
                                         {2, 4, 2, 4},
                                         {2, 8, 2, 5},
                                         {4, 0, 4, 0},
                                         {4, 4, 3, 4},
                                         {4, 8, 3, 4},
                                         {8, 0, 7, 0},
                                         {8, 2, 5, 2},
                                         {8, 4, 4, 3},
                                         {8, 8, 3, 4}}) {
    EncodeOptions options;
    options.add_special_tokens = false;
    options.max_length = 7;
    const Encoding e =
        tokenizer->encode_pair(std::string(c.text, 'c'), std::string(c.pair, 's'), options);
    EXPECT_EQ(std::count(e.ids.begin(), e.ids.end(), 2), static_cast<int>(c.keep_text));
    EXPECT_EQ(std::count(e.ids.begin(), e.ids.end(), 3), static_cast<int>(c.keep_pair));
    EXPECT_EQ(e.full_length, static_cast<int64_t>(c.text + c.pair));
  }
}

TEST(Tokenizer, AppliesTheTemplatesOfTheFile) {
  const auto tokenizer = TokenizerJson().must_load();
  const Encoding e = tokenizer->encode_pair("ab", "ca");
  EXPECT_EQ(e.ids, (std::vector<int32_t>{8, 5, 9, 2, 0, 9}));
  EXPECT_EQ(e.special, (std::vector<uint8_t>{1, 0, 1, 0, 0, 1}));
  EXPECT_EQ(e.sequence, (std::vector<uint8_t>{0, 0, 0, 1, 1, 0}));
  EncodeOptions bare;
  bare.add_special_tokens = false;
  EXPECT_EQ(tokenizer->encode_pair("ab", "ca", bare).ids, (std::vector<int32_t>{5, 2, 0}));

  // B before A, a token of two ids, nothing in front.
  const auto odd =
      TokenizerJson()
          .set("post_processor",
               R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"A"}},)"
               R"({"SpecialToken":{"id":"X"}}],"pair":[{"Sequence":{"id":"B"}},)"
               R"({"SpecialToken":{"id":"X"}},{"Sequence":{"id":"A"}}],)"
               R"("special_tokens":{"X":{"id":"X","ids":[9,8],"tokens":["[SEP]","[CLS]"]}}})")
          .must_load();
  EXPECT_EQ(odd->encode("ab").ids, (std::vector<int32_t>{5, 9, 8}));
  EXPECT_EQ(odd->encode_pair("ab", "c").ids, (std::vector<int32_t>{2, 9, 8, 5}));
}

TEST(Tokenizer, AppliesNoTemplateWithoutOne) {
  for (const char* none :
       {"null", R"({"type":"ByteLevel","trim_offsets":false,"add_prefix_space":true})"}) {
    const auto tokenizer = TokenizerJson().set("post_processor", none).must_load();
    EXPECT_EQ(tokenizer->encode("ab").ids, (std::vector<int32_t>{5}));
    EXPECT_EQ(tokenizer->encode_pair("ab", "c").ids, (std::vector<int32_t>{5, 2}));
    // What a decoder continues begins with the begin token nevertheless.
    EXPECT_EQ(tokenizer->with_template(Template::bos_only)->encode("ab").ids,
              (std::vector<int32_t>{8, 5}));
  }
}

TEST(Tokenizer, TrimsOffsetsIfThePostProcessorSaysSo) {
  const auto tokenizer =
      TokenizerJson()
          .set("post_processor",
               R"({"type":"ByteLevel","trim_offsets":true,"add_prefix_space":false})")
          .must_load();
  EncodeOptions options;
  options.with_offsets = true;
  EXPECT_EQ(tokenizer->encode("b a [MASK]", options).char_offsets,
            (std::vector<Offset>{{0, 1}, {2, 3}, {4, 10}}));
}

TEST(Tokenizer, TheTemplateForADecoderEndsWithTheText) {
  const auto tokenizer = TokenizerJson().must_load();
  const auto open = tokenizer->with_template(Template::bos_only);
  EXPECT_EQ(open->encode("ab").ids, (std::vector<int32_t>{8, 5}));
  EXPECT_EQ(open->encode("").ids, (std::vector<int32_t>{8}));
  EXPECT_EQ(open->encode_pair("ab", "c").ids, (std::vector<int32_t>{8, 5, 9, 2}));
  EXPECT_EQ(open->with_template(Template::serialized)->encode("ab").ids,
            (std::vector<int32_t>{8, 5, 9}));
  const auto ends = open->with_template(Template::eos_only);
  EXPECT_EQ(ends->encode("ab").ids, (std::vector<int32_t>{5, 9}));
  EXPECT_EQ(ends->encode_pair("ab", "c").ids, (std::vector<int32_t>{5, 9, 2, 9}));
  EXPECT_EQ(open->with_template(Template::none)->encode("ab").ids, (std::vector<int32_t>{5}));
}

TEST(Tokenizer, ReadsBothSpellingsOfMergesAndOfTheSplitRule) {
  const auto pairs =
      TokenizerJson()
          .set("merges", "[[\"a\",\"b\"],[\"ab\",\"c\"],[\"\u0120\",\"a\"]]")
          .set("pre_tokenizer",
               R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":)"
               R"("'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|)"
               R"(\\s+(?!\\S)|\\s+"},)"
               R"("behavior":"Isolated","invert":false},)"
               R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false}]})")
          .must_load();
  EXPECT_EQ(pairs->encode("abc a").ids, (std::vector<int32_t>{8, 6, 7, 9}));
  EXPECT_EQ(pairs->encode("abc a").ids, TokenizerJson().must_load()->encode("abc a").ids);
}

TEST(Tokenizer, KeepsWholeWordsIfTheModelIgnoresMerges) {
  TokenizerJson json;
  json.set("merges", "[\"b c\"]")
      .set("vocab",
           "{\"a\":0,\"b\":1,\"c\":2,\"s\":3,\"\u0120\":4,\"bc\":5,\"abc\":6,\"\u0120abc\":7}");
  EXPECT_EQ(json.must_load()->encode("abc abc").ids, (std::vector<int32_t>{8, 0, 5, 4, 0, 5, 9}));
  json.set("ignore_merges", "true");
  EXPECT_EQ(json.must_load()->encode("abc abc").ids, (std::vector<int32_t>{8, 6, 7, 9}));
}

TEST(Tokenizer, CleansUpSpacesAsTransformersDoes) {
  const auto tokenizer =
      TokenizerJson()
          .set("added_tokens",
               "[" + TokenizerJson::added(8, "[CLS]") + "," + TokenizerJson::added(9, "[SEP]") +
                   "," +
                   TokenizerJson::added(10,
                                        "x . y ? z ! w , v ' u do n't I 'm it 's we 've you 're") +
                   "]")
          .must_load();
  const std::vector<int32_t> ids{10};
  EXPECT_EQ(tokenizer->decode(ids, false, true), "x. y? z! w, v'u don't I'm it's we've you're");
  EXPECT_EQ(tokenizer->decode(ids, false), tokenizer->decode(ids, false, true));
  EXPECT_NE(tokenizer->decode(ids, false, false), tokenizer->decode(ids, false, true));
}

TEST(Tokenizer, ReadsTheSettingsFiles) {
  const TempDir directory;
  directory.write("tokenizer.json", TokenizerJson().text());
  directory.write("tokenizer_config.json",
                  R"({"bos_token":"[CLS]","eos_token":{"content":"[SEP]","lstrip":false},)"
                  R"("cls_token":null,"clean_up_tokenization_spaces":false,"add_bos_token":true,)"
                  R"("model_max_length":1000000000000000019884624838656})");
  directory.write("special_tokens_map.json", R"({"eos_token":"[CLS]","pad_token":"[SEP]"})");
  const auto loaded = Tokenizer::load(directory.path());
  ASSERT_TRUE(loaded.ok()) << loaded.status().to_string();
  const Tokenizer& t = **loaded;
  EXPECT_EQ(t.bos_id(), 8);
  EXPECT_EQ(t.eos_id(), 9);  // tokenizer_config.json goes first
  EXPECT_EQ(t.pad_id(), 9);  // special_tokens_map.json fills in
  EXPECT_EQ(t.cls_id(), 8);  // by its standard content
  EXPECT_EQ(t.unk_id(), std::nullopt);
  EXPECT_EQ(t.model_max_length(), std::nullopt);  // transformers' way to say "none"
  EXPECT_EQ(t.add_bos_token(), true);
  EXPECT_EQ(t.add_eos_token(), std::nullopt);
  EXPECT_EQ(t.decode(std::vector<int32_t>{0, 4}, false), "a ");
}

}  // namespace
}  // namespace ettin::test
