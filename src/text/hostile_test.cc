// tokenizer.json and its companions that must be refused, in words that name the file and the
// fault, and without asking for more memory than the file's own size accounts for.
#include <set>

#include "base/test_alloc_probe.h"
#include "text/test_support.h"

namespace ettin::test {
namespace {

struct HostileCase {
  std::string name;
  std::string words;
  std::string tokenizer;  // tokenizer.json
  std::string config;     // tokenizer_config.json; empty: no such file
  std::string map;        // special_tokens_map.json; empty: no such file
};

HostileCase raw(std::string name, std::string words, std::string text) {
  return {std::move(name), std::move(words), std::move(text), {}, {}};
}

HostileCase part(const std::string& key, std::string value, std::string words) {
  const std::string name = key + " = " + (value.empty() ? "absent" : value.substr(0, 70));
  return raw(name, std::move(words), TokenizerJson().set(key, std::move(value)).text());
}

HostileCase config(std::string text, std::string words) {
  return {"config " + text, std::move(words), TokenizerJson().text(), text, {}};
}

std::string added_list(std::initializer_list<std::string> more) {
  std::string out = "[" + TokenizerJson::added(8, "[CLS]", "special") + "," +
                    TokenizerJson::added(9, "[SEP]", "special");
  for (const std::string& token : more) out += "," + token;
  return out + "]";
}

std::string with_vocab(const std::string& extra) {
  return "{\"a\":0,\"b\":1,\"c\":2,\"s\":3,\"\u0120\":4,\"ab\":5,\"abc\":6,\"\u0120a\":7" + extra +
         "}";
}

std::string template_of(
    const std::string& single, const std::string& pair,
    const std::string& special = R"({"X":{"id":"X","ids":[8],"tokens":["x"]}})") {
  return R"({"type":"TemplateProcessing","single":)" + single + R"(,"pair":)" + pair +
         R"(,"special_tokens":)" + special + "}";
}

const std::string kA = R"({"Sequence":{"id":"A","type_id":0}})";
const std::string kB = R"({"Sequence":{"id":"B","type_id":0}})";
const std::string kX = R"({"SpecialToken":{"id":"X","type_id":0}})";

std::string repeated(std::string_view unit, size_t times) {
  std::string out;
  for (size_t i = 0; i < times; ++i) out += unit;
  return out;
}

std::vector<HostileCase> file_cases() {
  return {
      raw("empty", "not valid JSON", ""),
      raw("array", "should be a JSON object", "[]"),
      raw("null", "should be a JSON object", "null"),
      raw("cut", "not valid JSON", TokenizerJson().text().substr(0, 300)),
      raw("byte order mark", "byte order mark", "\xef\xbb\xbf" + TokenizerJson().text()),
      raw("NUL", "NUL byte", TokenizerJson().text() + std::string(1, '\0')),
      raw("forty levels", "nested deeper", "{\"a\":" + repeated("[", 40) + repeated("]", 40) + "}"),
      raw("invalid UTF-8", "not valid JSON", "{\"\xff\":0}"),
      raw("unpaired surrogate", "not valid JSON", R"({"version":"\ud800"})"),
      raw("duplicate part", "duplicate key \"model\"", R"({"model":{},"model":{}})"),
      raw("65 MiB", "at most", std::string(size_t{65} << 20, ' ')),
      part("version", R"("2.0")", "version is \"2.0\""),
      part("version", "1", "\"version\" should be a string"),
  };
}

std::vector<HostileCase> part_cases() {
  return {
      part("normalizer", R"({"type":"NFKC"})", "normalizer is NFKC"),
      part("normalizer", R"({"type":"Lowercase"})", "normalizer is Lowercase"),
      part("normalizer", R"("NFC")", "\"normalizer\" should be an object"),
      part("normalizer", "{}", "normalizer: key \"type\" is missing"),
      part("pre_tokenizer", "null", "there is no pre_tokenizer"),
      part("pre_tokenizer", R"({"type":"Whitespace"})", "pre_tokenizer is Whitespace"),
      part("pre_tokenizer", R"({"type":"ByteLevel"})", "\"add_prefix_space\" is missing"),
      part("pre_tokenizer", R"({"type":"ByteLevel","add_prefix_space":true})",
           "add_prefix_space = true"),
      part("pre_tokenizer", R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":false})",
           "use_regex = false"),
      part("pre_tokenizer", R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":1})",
           "\"use_regex\" should be true or false"),
      part("pre_tokenizer", R"({"type":"Sequence"})", "\"pretokenizers\" should be a list"),
      part("pre_tokenizer", R"({"type":"Sequence","pretokenizers":[]})",
           "does not equal ByteLevel"),
      part("pre_tokenizer",
           R"({"type":"Sequence","pretokenizers":[{"type":"Digits"},{"type":"ByteLevel"}]})",
           "does not equal ByteLevel"),
      part("pre_tokenizer",
           R"({"type":"Sequence","pretokenizers":[{"type":"Split","pattern":{"Regex":"(a+)+$"},)"
           R"("behavior":"Isolated","invert":false},{"type":"ByteLevel","add_prefix_space":false,)"
           R"("use_regex":false}]})",
           "another pattern than GPT-2's"),
      part("pre_tokenizer", R"({"type":"Split","pattern":{"Regex":"(x+x+)+y"}})",
           "pre_tokenizer is Split"),
      part("decoder", "null", "there is no decoder"),
      part("decoder", R"({"type":"WordPiece"})", "decoder is WordPiece"),
      part("decoder", "7", "\"decoder\" should be an object"),
      part("post_processor", R"({"type":"BertProcessing"})", "post_processor is BertProcessing"),
      part("post_processor",
           R"({"type":"Sequence","processors":[{"type":"Sequence","processors":[]}]})",
           "post_processor is Sequence"),
      part("post_processor", R"({"type":"ByteLevel","trim_offsets":true,"add_prefix_space":true})",
           "trim_offsets and add_prefix_space"),
      part("post_processor", template_of("[" + kX + "]", "[" + kA + "," + kB + "]"),
           "template \"single\" should use"),
      part("post_processor", template_of("[" + kA + "," + kA + "]", "[" + kA + "," + kB + "]"),
           "template \"single\" should use"),
      part("post_processor", template_of("[" + kA + "]", "[" + kA + "]"),
           "template \"pair\" should use"),
      part("post_processor", template_of("[" + kA + "]", "7"), "\"pair\" should be a list"),
      part("post_processor", template_of("[7]", "[]"), "neither \"Sequence\" nor"),
      part("post_processor", template_of(R"([{"Sequence":{"id":"C"}}])", "[]"), "A or B"),
      part("post_processor", template_of("[" + kX + "]", "[]", "{}"), "has no ids for \"X\""),
      part("post_processor", template_of("[" + kX + "]", "[]", R"({"X":{"ids":[500]}})"),
           "id 500 of \"X\" is not in the vocabulary"),
      part("post_processor", template_of("[" + kX + "]", "[]", R"({"X":{"ids":[-1]}})"),
           "an id is -1, not in 0"),
      part("post_processor", template_of("[" + kX + "]", "[]", R"({"X":{"ids":["8"]}})"),
           "an id should be an integer"),
      part("post_processor", template_of("[" + kX + repeated("," + kX, 70) + "]", "[]"),
           "more than 64 tokens"),
      part("post_processor",
           template_of("[" + kX + "]", "[]", R"({"X":{"ids":[8)" + repeated(",8", 70) + "]}}"),
           "has 71 ids"),
  };
}

std::vector<HostileCase> model_cases() {
  return {
      raw("no model", "\"model\" should be an object",
          R"({"pre_tokenizer":{"type":"ByteLevel",)"
          R"("add_prefix_space":false},"decoder":{"type":"ByteLevel"}})"),
      part("type", R"("Unigram")", "model is Unigram"),
      part("type", "1", "\"type\" should be a string"),
      part("dropout", "0.1", "model has dropout"),
      part("continuing_subword_prefix", R"("##")", "continuing_subword_prefix \"##\""),
      part("end_of_word_suffix", R"("</w>")", "end_of_word_suffix \"</w>\""),
      part("byte_fallback", "true", "byte_fallback"),
      part("ignore_merges", R"("yes")", "\"ignore_merges\" should be true or false"),
      part("unk_token", R"("a")", "no symbol for byte"),
      part("vocab", "", "\"vocab\" should be an object"),
      part("vocab", R"(["a","b"])", "\"vocab\" should be an object"),
      part("vocab", with_vocab(R"(,"x":"12")"), "id of \"x\" should be an integer"),
      part("vocab", with_vocab(R"(,"x":1.5)"), "id of \"x\" should be an integer"),
      part("vocab", with_vocab(R"(,"x":-1)"), "an id is -1"),
      part("vocab", with_vocab(R"(,"x":2147483648)"), "an id is 2147483648, not in 0 to 1048575"),
      part("vocab", with_vocab(R"(,"x":18446744073709551615)"), "an id is 18446744073709551615"),
      part("vocab", with_vocab(R"(,"x":18446744073709551616)"), "64 bits"),
      part("vocab", with_vocab(R"(,"x":1000000)"), "the largest id is 1000000, but there are only"),
      part("vocab", with_vocab(R"(,"x":5)"), "id 5 belongs to \"ab\" and \"x\""),
      part("vocab", with_vocab(R"(,"ab":8)"), "duplicate key \"ab\""),
      part("vocab", with_vocab(R"(,"":8)"), "a token has 0 bytes"),
      part("vocab", with_vocab(",\"" + repeated("x", 4097) + "\":8"), "a token has 4097 bytes"),
      part("merges", "", "\"merges\" should be a list"),
      part("merges", "{}", "\"merges\" should be a list"),
      part("merges", R"(["ab"])", "merges[0] is neither"),
      part("merges", R"(["a b","a b c"])", "merges[1] is neither"),
      part("merges", R"([["a"]])", "merges[0] is neither"),
      part("merges", R"([["a",1]])", "merges[0] is neither"),
      part("merges", "[7]", "merges[0] is neither"),
      part("merges", R"(["x a"])", "\"x\" is not in the vocabulary"),
      part("merges", R"(["a x"])", "\"x\" is not in the vocabulary"),
      part("merges", R"(["a b","b a"])", "\"ba\" is not in the vocabulary"),
      part("merges", R"(["a b","a b"])", "merges[1] repeats"),
      part("merges", "[\"[CLS] a\"]", "\"[CLS]\" is not in the vocabulary"),
  };
}

std::vector<HostileCase> added_cases() {
  using Json = TokenizerJson;
  return {
      part("added_tokens", "{}", "\"added_tokens\" should be a list"),
      part("added_tokens", "[7]", "added_tokens[0]: key \"content\" is missing"),
      part("added_tokens", R"([{"content":"x"}])", "added_tokens[0]: key \"id\" is missing"),
      part("added_tokens", R"([{"content":"x","id":8}])", "\"single_word\" is missing"),
      part("added_tokens", R"([{"content":1,"id":8}])", "\"content\" should be a string"),
      part("added_tokens", added_list({Json::added(10, "")}), "\"content\" has 0 bytes"),
      part("added_tokens", added_list({Json::added(10, repeated("y", 5000))}), "has 5000 bytes"),
      part("added_tokens", added_list({Json::added(-3, "y")}), "\"id\" is -3"),
      part("added_tokens", added_list({Json::added(1 << 30, "y")}), "\"id\" is 1073741824"),
      part("added_tokens", added_list({Json::added(11, "y")}),
           "\"y\" has id 11, but 10 would be next"),
      part("added_tokens", added_list({Json::added(3, "y")}),
           "\"y\" has id 3, but 10 would be next"),
      part("added_tokens", added_list({Json::added(10, "ab")}),
           "\"ab\" has id 10, but \"vocab\" says 5"),
      part("added_tokens", added_list({Json::added(9, "[SEP]")}), "\"[SEP]\" is listed twice"),
      part("added_tokens",
           R"([{"id":8,"content":"[CLS]","single_word":0,"lstrip":false,"rstrip":false,)"
           R"("normalized":false,"special":true}])",
           "\"single_word\" should be true or false"),
  };
}

std::vector<HostileCase> config_cases() {
  std::vector<HostileCase> cases{
      config("[]", "should be a JSON object"),
      config("{", "not valid JSON"),
      config(R"({"cls_token":7})", "\"cls_token\" should be a string"),
      config(R"({"cls_token":{"lstrip":true}})", "\"content\" is missing"),
      config(R"({"eos_token":"</s>"})", "\"</s>\", which tokenizer.json does not have"),
      config(R"({"model_max_length":0})", "\"model_max_length\" is 0"),
      config(R"({"model_max_length":-5})", "\"model_max_length\" is -5"),
      config(R"({"model_max_length":1.5})", "\"model_max_length\" should be an integer"),
      config(R"({"model_max_length":"512"})", "\"model_max_length\" should be a number"),
      config(R"({"add_bos_token":"yes"})", "\"add_bos_token\" should be true or false"),
      config(R"({"clean_up_tokenization_spaces":0})", "should be true or false"),
  };
  cases.push_back({"map",
                   "\"mask_token\" should be a string",
                   TokenizerJson().text(),
                   {},
                   R"({"mask_token":[]})"});
  return cases;
}

std::vector<HostileCase> all_cases() {
  std::vector<HostileCase> all;
  for (auto cases : {file_cases(), part_cases(), model_cases(), added_cases(), config_cases()}) {
    for (HostileCase& c : cases) all.push_back(std::move(c));
  }
  return all;
}

TEST(Hostile, EveryFileIsRefusedInItsOwnWords) {
  std::set<std::string> names;
  for (const HostileCase& c : all_cases()) {
    SCOPED_TRACE(c.name);
    EXPECT_TRUE(names.insert(c.name + c.words).second);
    const TempDir directory;
    directory.write("tokenizer.json", c.tokenizer);
    if (!c.config.empty()) directory.write("tokenizer_config.json", c.config);
    if (!c.map.empty()) directory.write("special_tokens_map.json", c.map);
    const size_t before = bytes_requested();
    const Status status = Tokenizer::load(directory.path()).status();
    const size_t requested = bytes_requested() - before;
    ASSERT_FALSE(status.ok());
    EXPECT_NE(status.code(), StatusCode::internal);
    EXPECT_LE(requested, (size_t{1} << 20) + 64 * (c.tokenizer.size() + c.config.size()));
    EXPECT_NE(status.message().find(c.words), std::string::npos) << status.message();
    EXPECT_NE(status.message().find(directory.path() + "/"), std::string::npos) << status.message();
  }
  EXPECT_GE(names.size(), 100U);
}

TEST(Hostile, AMissingFileIsNamed) {
  const Status status = Tokenizer::load("/nonexistent").status();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("/nonexistent/tokenizer.json"), std::string::npos);
}

TEST(Hostile, TheFileThatTheCasesChangeIsGood) { EXPECT_TRUE(TokenizerJson().load().ok()); }

// A small good file cut at every length and changed at every byte: a value or a Status, and what
// loads must encode.
TEST(Hostile, EveryChangedByteIsSurvived) {
  const std::string good = TokenizerJson().text();
  size_t loaded = 0;
  const auto try_text = [&](const std::string& text) {
    const TempDir directory;
    directory.write("tokenizer.json", text);
    const auto result = Tokenizer::load(directory.path());
    if (!result.ok()) {
      EXPECT_NE(result.status().code(), StatusCode::internal) << result.status().message();
      return;
    }
    ++loaded;
    EncodeOptions options;
    options.with_offsets = true;
    const Encoding e = (*result)->encode_pair("abc ab's  [MASK]\xff e\u0301", "a", options);
    EXPECT_EQ(e.ids.size(), e.char_offsets.size());
    (void)(*result)->decode(e.ids, true);
  };
  for (size_t length = 0; length < good.size(); ++length) try_text(good.substr(0, length));
  Dice dice(51);
  for (size_t at = 0; at < good.size(); ++at) {
    std::string changed = good;
    const std::string with = "0917\"{}[]:,-.tfn ab\\\xc4\x80";
    changed[at] = with[dice.below(with.size())];
    try_text(changed);
  }
  EXPECT_GT(loaded, 0U);
}

}  // namespace
}  // namespace ettin::test
