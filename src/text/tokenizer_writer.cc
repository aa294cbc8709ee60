#include "text/tokenizer_writer.h"

#include <array>
#include <filesystem>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "text/added_tokens.h"
#include "text/tokenizer_json_parts.h"
#include "text/vocabulary.h"

namespace ettin {
namespace {

struct Special {
  std::string_view role, content;
};
constexpr std::array<Special, 5> kSpecials = {{{"unk_token", "[UNK]"},
                                               {"cls_token", "[CLS]"},
                                               {"sep_token", "[SEP]"},
                                               {"pad_token", "[PAD]"},
                                               {"mask_token", "[MASK]"}}};

int64_t added_entries(const TokenizerLayout& layout) {
  return (layout.space_runs ? kSpaceRunTokens : 0) + static_cast<int64_t>(kSpecials.size());
}

// In the order of their ids; the first `space_runs` of them belong to the model's vocabulary too.
std::vector<AddedToken> added_tokens(const TrainedBpe& bpe, const TokenizerLayout& layout) {
  std::vector<AddedToken> tokens;
  auto id = static_cast<int32_t>(bpe.tokens.size());
  for (int n = kLongestSpaceRun; layout.space_runs && n >= 2; --n) {
    AddedToken& run = tokens.emplace_back();
    run.id = id++;
    run.content.assign(static_cast<size_t>(n), ' ');
    run.normalized = true;
  }
  for (const Special& special : kSpecials) {
    AddedToken& token = tokens.emplace_back();
    token.id = id++;
    token.content = special.content;
    token.lstrip = special.role == "mask_token";
    token.special = true;
  }
  return tokens;
}

// ordered_json looks every new key up; a vocabulary's keys are known to differ.
void append(Json* object, std::string key, Json value) {
  object->get_ref<Json::object_t&>().emplace_back(std::move(key), std::move(value));
}

Json added_json(const std::vector<AddedToken>& tokens) {
  Json list = Json::array();
  for (const AddedToken& token : tokens) {
    list.push_back({{"id", token.id},
                    {"content", token.content},
                    {"single_word", false},
                    {"lstrip", token.lstrip},
                    {"rstrip", false},
                    {"normalized", token.normalized},
                    {"special", token.special}});
  }
  return list;
}

Json byte_level(std::string_view type) {
  return {{"type", type}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
}

Json template_json(const std::vector<AddedToken>& tokens) {
  const auto special = [](std::string_view name) -> Json {
    return {{"SpecialToken", {{"id", name}, {"type_id", 0}}}};
  };
  const auto text = [](std::string_view name) -> Json {
    return {{"Sequence", {{"id", name}, {"type_id", 0}}}};
  };
  Json specials = Json::object();
  for (const std::string_view name : {"[CLS]", "[MASK]", "[PAD]", "[SEP]", "[UNK]"}) {
    for (const AddedToken& token : tokens) {
      if (token.content != name) continue;
      specials[token.content] = {
          {"id", name}, {"ids", Json::array({token.id})}, {"tokens", Json::array({name})}};
    }
  }
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({special("[CLS]"), text("A"), special("[SEP]")})},
          {"pair", Json::array({special("[CLS]"), text("A"), special("[SEP]"), text("B"),
                                special("[SEP]")})},
          {"special_tokens", std::move(specials)}};
}

Json model_json(const TrainedBpe& bpe, const std::vector<AddedToken>& added) {
  std::vector<std::string> spelled;
  for (const std::string& token : bpe.tokens) {
    spelled.push_back(ByteAlphabet::get().spell(token));
  }
  Json vocabulary = Json::object(), merges = Json::array();
  for (size_t id = 0; id < spelled.size(); ++id) append(&vocabulary, spelled[id], id);
  for (const AddedToken& token : added) {
    if (!token.special) append(&vocabulary, token.content, token.id);
  }
  for (const MergeRule& rule : bpe.merges) {
    merges.push_back(spelled[static_cast<size_t>(rule.left)] + " " +
                     spelled[static_cast<size_t>(rule.right)]);
  }
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", nullptr},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", false},
          {"byte_fallback", false},
          {"ignore_merges", false},
          {"vocab", std::move(vocabulary)},
          {"merges", std::move(merges)}};
}

Json tokenizer_json(const TrainedBpe& bpe, const std::vector<AddedToken>& added) {
  return {{"version", "1.0"},
          {"truncation", nullptr},
          {"padding", nullptr},
          {"added_tokens", added_json(added)},
          {"normalizer", {{"type", "NFC"}}},
          {"pre_tokenizer", byte_level("ByteLevel")},
          {"post_processor", template_json(added)},
          {"decoder", byte_level("ByteLevel")},
          {"model", model_json(bpe, added)}};
}

// What transformers keeps beside tokenizer.json, keys sorted as it sorts them.
Json config_json(const std::vector<AddedToken>& added, const TokenizerLayout& layout) {
  Json decoder = Json::object();
  for (const AddedToken& token : added) {
    decoder[std::to_string(token.id)] = {
        {"content", token.content}, {"lstrip", token.lstrip}, {"normalized", token.normalized},
        {"rstrip", false},          {"single_word", false},   {"special", token.special}};
  }
  return {{"added_tokens_decoder", std::move(decoder)},
          {"clean_up_tokenization_spaces", true},
          {"cls_token", "[CLS]"},
          {"mask_token", "[MASK]"},
          {"model_input_names", {"input_ids", "attention_mask"}},
          {"model_max_length", layout.model_max_length},
          {"pad_token", "[PAD]"},
          {"sep_token", "[SEP]"},
          {"tokenizer_class", "PreTrainedTokenizerFast"},
          {"unk_token", "[UNK]"}};
}

Json names_json() {
  Json names = Json::object();
  for (const size_t i : {1, 4, 3, 2, 0}) {  // sorted by role
    const auto [role, content] = kSpecials[i];
    names[std::string(role)] = {{"content", content},
                                {"lstrip", role == "mask_token"},
                                {"normalized", false},
                                {"rstrip", false},
                                {"single_word", false}};
  }
  return names;
}

}  // namespace

Result<int64_t> bpe_entries(int64_t vocab_size, const TokenizerLayout& layout) {
  const int64_t added = added_entries(layout);
  if (vocab_size <= kByteSymbols + added || vocab_size > kMaxTokens) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("a vocabulary of {} entries is not possible: {} byte symbols and {} "
                              "added tokens come before the first merge, and {} is the limit",
                              vocab_size, int{kByteSymbols}, added, int{kMaxTokens}),
                  fmt::format("choose {} to {}; 8192 suits a small model, ModernBERT has 50368",
                              kByteSymbols + added + 1, int{kMaxTokens}));
  }
  return vocab_size - added;
}

int64_t tokenizer_entries(const TrainedBpe& bpe, const TokenizerLayout& layout) {
  return static_cast<int64_t>(bpe.tokens.size()) + added_entries(layout);
}

Status write_tokenizer(const std::string& directory, const TrainedBpe& bpe,
                       const TokenizerLayout& layout) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error || !directory_exists(directory)) {
    return Status(StatusCode::io_error,
                  fmt::format("{}: cannot make this folder: {}", directory,
                              error ? error.message() : "something else has the name"),
                  "choose another folder to write into");
  }
  const std::vector<AddedToken> added = added_tokens(bpe, layout);
  const auto write = [&](std::string_view name, const Json& contents) {
    return write_file_atomic(join_path(directory, name), dump_json(contents, 2) + "\n");
  };
  ETTIN_RETURN_IF_ERROR(write("tokenizer_config.json", config_json(added, layout)));
  ETTIN_RETURN_IF_ERROR(write("special_tokens_map.json", names_json()));
  return write("tokenizer.json", tokenizer_json(bpe, added));
}

}  // namespace ettin
