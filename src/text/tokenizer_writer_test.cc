#include "text/tokenizer_writer.h"

#include "base/json.h"
#include "text/nfc.h"
#include "text/test_support.h"

namespace ettin::test {
namespace {

const std::string kText =
    "The river reaches the sea. The sea is there, the river is here.\n"
    "def f(x):\n    return  x + 1\n"
    "Gr\u00f6\u00dfe, \u6771\u4eac, \U0001f600 and e\u0301\n";

struct Trained {
  TempDir directory;
  TrainedBpe bpe;
  PretokenCounts counts{true, shared_thread_pool(1)};
  std::shared_ptr<const Tokenizer> tokenizer;
};

std::unique_ptr<Trained> train(std::string_view text, int64_t vocab_size, TokenizerLayout layout) {
  auto out = std::make_unique<Trained>();
  out->counts = PretokenCounts(layout.space_runs, shared_thread_pool(1));
  out->counts.add(std::vector{text});
  const auto entries = bpe_entries(vocab_size, layout);
  EXPECT_TRUE(entries.ok()) << entries.status().to_string();
  auto bpe = train_bpe(out->counts.words(), {.entries = *entries, .min_frequency = 1});
  EXPECT_TRUE(bpe.ok()) << bpe.status().to_string();
  out->bpe = *bpe;
  const Status written = write_tokenizer(out->directory.path() + "/new/folder", out->bpe, layout);
  EXPECT_TRUE(written.ok()) << written.to_string();
  auto loaded = Tokenizer::load(out->directory.path() + "/new/folder");
  EXPECT_TRUE(loaded.ok()) << loaded.status().to_string();
  if (loaded.ok()) out->tokenizer = *loaded;
  return out;
}

TEST(TokenizerWriter, EntriesAndSpecials) {
  const auto trained = train(kText, 320, {.model_max_length = 77});
  const Tokenizer& tokenizer = *trained->tokenizer;
  EXPECT_EQ(tokenizer.vocab_size(), 320);
  EXPECT_EQ(tokenizer_entries(trained->bpe, {}), 320);
  EXPECT_EQ(tokenizer.token_string(0), "!");
  EXPECT_EQ(tokenizer.token_string(292), std::string(24, ' '));
  EXPECT_EQ(tokenizer.token_string(314), "  ");
  EXPECT_EQ(tokenizer.unk_id(), 315);
  EXPECT_EQ(tokenizer.cls_id(), 316);
  EXPECT_EQ(tokenizer.sep_id(), 317);
  EXPECT_EQ(tokenizer.pad_id(), 318);
  EXPECT_EQ(tokenizer.mask_id(), 319);
  for (int32_t id = 0; id < 320; ++id) EXPECT_EQ(tokenizer.is_special(id), id >= 315) << id;
  EXPECT_EQ(tokenizer.model_max_length(), 77);
  // [MASK] takes the space before it; the template stands around the text.
  const std::vector<int32_t> masked = tokenizer.encode("x [MASK]").ids;
  EXPECT_EQ(masked, (std::vector<int32_t>{316, *tokenizer.token_id("x"), 319, 317}));
  EXPECT_EQ(tokenizer.encode_pair("x", "x").ids.size(), 5u);
}

// Encoding the training text gives as many tokens as training was left with: both merge alike.
TEST(TokenizerWriter, EncodesAsItWasTrained) {
  for (const bool space_runs : {true, false}) {
    const auto trained = train(kText, 330, {.space_runs = space_runs});
    const auto ids = trained->tokenizer->encode(kText, {.add_special_tokens = false}).ids;
    EXPECT_EQ(static_cast<int64_t>(ids.size()),
              trained->bpe.token_count + trained->counts.space_runs());
    EXPECT_EQ(trained->tokenizer->token_id("  ").has_value(), space_runs);
  }
}

TEST(TokenizerWriter, RoundTripOfAnyText) {
  const auto trained = train(kText, 300, {});
  Dice dice(3);
  for (int round = 0; round < 200; ++round) {
    std::string text;
    for (size_t n = dice.below(40); n > 0; --n) text += static_cast<char>(dice.below(256));
    std::string nfc;
    to_nfc(replace_invalid_utf8(text), &nfc, nullptr);
    const Tokenizer& tokenizer = *trained->tokenizer;
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text).ids, true, false), nfc);
  }
  for (unsigned byte = 0; byte < 256; ++byte) {
    EXPECT_EQ(trained->tokenizer->decode_bytes(static_cast<int32_t>(byte)),
              std::string(1, static_cast<char>(byte_symbol_order()[byte])));
  }
}

// Beside vocabulary and merges the file is that of a tokenizer made elsewhere.
TEST(TokenizerWriter, HasTheShapeOfAPublishedFile) {
  const auto trained = train(kText, 300, {.model_max_length = 256});
  const std::string made = trained->directory.path() + "/new/folder/";
  const std::string known = ETTIN_SOURCE_DIR "/models/seedling-encoder/";
  const auto read = [](const std::string& path) {
    auto json = parse_json_file(path);
    EXPECT_TRUE(json.ok()) << json.status().to_string();
    return *json;
  };
  Json ours = read(made + "tokenizer.json"), theirs = read(known + "tokenizer.json");
  for (Json* file : {&ours, &theirs}) {
    const auto size = static_cast<int32_t>((*file)["added_tokens"].back()["id"]) + 1;
    for (Json& token : (*file)["added_tokens"]) {
      token["id"] = size - static_cast<int32_t>(token["id"]);
    }
    for (auto& [name, token] : (*file)["post_processor"]["special_tokens"].items()) {
      token["ids"][0] = size - static_cast<int32_t>(token["ids"][0]);
    }
    (*file)["model"]["vocab"] = (*file)["model"]["merges"] = nullptr;
  }
  EXPECT_EQ(dump_json(ours), dump_json(theirs));
  ours = read(made + "tokenizer_config.json");
  theirs = read(known + "tokenizer_config.json");
  EXPECT_EQ(ours["added_tokens_decoder"].size(), theirs["added_tokens_decoder"].size());
  EXPECT_EQ(ours["added_tokens_decoder"]["299"], theirs["added_tokens_decoder"]["8191"]);
  ours["added_tokens_decoder"] = theirs["added_tokens_decoder"] = nullptr;
  EXPECT_EQ(dump_json(ours), dump_json(theirs));
  EXPECT_EQ(dump_json(read(made + "special_tokens_map.json")),
            dump_json(read(known + "special_tokens_map.json")));
}

TEST(TokenizerWriter, RefusesImpossibleVocabularies) {
  EXPECT_EQ(*bpe_entries(285, {}), 257);
  EXPECT_EQ(*bpe_entries(262, {.space_runs = false}), 257);
  EXPECT_EQ(*bpe_entries(1 << 20, {}), (1 << 20) - 28);
  for (const int64_t size :
       {int64_t{284}, int64_t{0}, int64_t{-1}, INT64_MIN, INT64_MAX, (int64_t{1} << 20) + 1}) {
    const auto entries = bpe_entries(size, {});
    EXPECT_EQ(entries.status().code(), StatusCode::invalid_argument) << size;
    EXPECT_NE(entries.status().hint().find("285"), std::string::npos);
  }
}

TEST(TokenizerWriter, SaysWhereItCannotWrite) {
  const TempDir directory;
  const std::string file = directory.write("taken", "x");
  const Status status = write_tokenizer(file, TrainedBpe(), {});
  EXPECT_EQ(status.code(), StatusCode::io_error);
  EXPECT_NE(status.message().find("taken"), std::string::npos);
  EXPECT_NE(status.hint(), "");
}

}  // namespace
}  // namespace ettin::test
