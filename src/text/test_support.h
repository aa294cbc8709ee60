// For the tests of this folder: the published tokenizer where it is at hand, temporary folders, and
// a tokenizer.json put together from parts.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/rng.h"
#include "base/test_files.h"
#include "base/utf8.h"
#include "text/tokenizer.h"

namespace ettin::test {

inline const std::string kModernBert = ETTIN_SHARED_DIR "/data/tokenizer/tokenizer.json";
inline const std::string kSeedling = ETTIN_SOURCE_DIR "/models/seedling-encoder/tokenizer.json";

inline std::shared_ptr<const Tokenizer> must_load(const std::string& path) {
  auto loaded = Tokenizer::load_file(path);
  EXPECT_TRUE(loaded.ok()) << loaded.status().to_string();
  return loaded.ok() ? *loaded : nullptr;
}

// The published tokenizer, else that of the small model of this repository; loaded once.
inline const Tokenizer& any_tokenizer() {
  static const auto loaded = must_load(file_exists(kModernBert) ? kModernBert : kSeedling);
  return *loaded;
}

// A good tokenizer.json over the symbols a, b, c, space and 's', with parts to be replaced; an
// empty part is left out.
class TokenizerJson {
 public:
  TokenizerJson& set(const std::string& key, std::string value) {
    (model_.contains(key) ? model_ : parts_)[key] = std::move(value);
    return *this;
  }

  std::string text() const {
    return "{" + members(parts_) + ",\"model\":{" + members(model_) + "}}";
  }

  // Loads it from a temporary folder.
  Result<std::shared_ptr<const Tokenizer>> load() const {
    const TempDir directory;
    directory.write("tokenizer.json", text());
    return Tokenizer::load(directory.path());
  }
  std::shared_ptr<const Tokenizer> must_load() const {
    auto loaded = load();
    EXPECT_TRUE(loaded.ok()) << loaded.status().to_string();
    return loaded.ok() ? *loaded : nullptr;
  }

  static std::string added(int id, std::string_view content, std::string_view flags = {}) {
    std::string out =
        "{\"id\":" + std::to_string(id) + ",\"content\":\"" + std::string(content) + "\"";
    for (const std::string_view flag :
         {"single_word", "lstrip", "rstrip", "normalized", "special"}) {
      const bool on = flags.find(flag) != std::string_view::npos;
      out += ",\"" + std::string(flag) + "\":" + (on ? "true" : "false");
    }
    return out + "}";
  }

 private:
  static std::string members(const std::map<std::string, std::string>& values) {
    std::string out;
    for (const auto& [key, value] : values) {
      if (!value.empty()) out += (out.empty() ? "\"" : ",\"") + key + "\":" + value;
    }
    return out;
  }

  std::map<std::string, std::string> parts_{
      {"version", R"("1.0")"},
      {"truncation", "null"},
      {"padding", "null"},
      {"added_tokens", "[" + added(8, "[CLS]", "special") + "," + added(9, "[SEP]", "special") +
                           "," + added(10, "[MASK]", "special lstrip") + "]"},
      {"normalizer", R"({"type":"NFC"})"},
      {"pre_tokenizer", R"({"type":"ByteLevel","add_prefix_space":false,"use_regex":true})"},
      {"post_processor",
       R"({"type":"TemplateProcessing",)"
       R"("single":[{"SpecialToken":{"id":"[CLS]","type_id":0}},)"
       R"({"Sequence":{"id":"A","type_id":0}},)"
       R"({"SpecialToken":{"id":"[SEP]","type_id":0}}],)"
       R"("pair":[{"SpecialToken":{"id":"[CLS]","type_id":0}},{"Sequence":{"id":"A","type_id":0}},)"
       R"({"SpecialToken":{"id":"[SEP]","type_id":0}},{"Sequence":{"id":"B","type_id":0}},)"
       R"({"SpecialToken":{"id":"[SEP]","type_id":0}}],)"
       R"("special_tokens":{"[CLS]":{"id":"[CLS]","ids":[8],"tokens":["[CLS]"]},)"
       R"("[SEP]":{"id":"[SEP]","ids":[9],"tokens":["[SEP]"]}}})"},
      {"decoder", R"({"type":"ByteLevel"})"},
  };
  std::map<std::string, std::string> model_{
      {"type", R"("BPE")"},
      {"dropout", "null"},
      {"unk_token", "null"},
      {"continuing_subword_prefix", "null"},
      {"end_of_word_suffix", "null"},
      {"byte_fallback", "false"},
      {"ignore_merges", "false"},
      {"vocab", "{\"a\":0,\"b\":1,\"c\":2,\"s\":3,\"\u0120\":4,\"ab\":5,\"abc\":6,\"\u0120a\":7}"},
      {"merges", "[\"a b\",\"ab c\",\"\u0120 a\"]"},
  };
};

// Random numbers of one test, equal in every run.
class Dice {
 public:
  explicit Dice(uint64_t stream) : stream_(stream) {}
  size_t below(size_t bound) {
    return static_cast<size_t>(random_bits(7, stream_, index_++) % bound);
  }
  template <class T>
  const T& pick(const std::vector<T>& from) {
    return from[below(from.size())];
  }

 private:
  uint64_t stream_;
  uint64_t index_ = 0;
};

inline std::string utf8_of(char32_t c) {
  std::string out;
  append_utf8(c, &out);
  return out;
}

}  // namespace ettin::test
