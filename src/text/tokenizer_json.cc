#include "text/tokenizer_json.h"

#include <algorithm>
#include <optional>
#include <utility>

#include <fmt/format.h>

#include "base/json.h"
#include "text/tokenizer_json_parts.h"

namespace ettin {
namespace {

constexpr size_t kMaxMerges = 2 << 20;

// Ids that no token has are allowed, but not so many that a small file fills the memory.
bool is_dense(size_t id_limit, size_t tokens) { return id_limit <= 2 * tokens + 1024; }

class Reader {
 public:
  Reader(const Json& file, std::string_view path) : file_(file), path_(path) {}

  Result<TokenizerFile> read() {
    ETTIN_RETURN_IF_ERROR(check_version());
    ETTIN_ASSIGN_OR_RETURN(const bool nfc, read_normalizer(file_, path_));
    ETTIN_RETURN_IF_ERROR(read_pre_tokenizer(file_, path_));
    ETTIN_RETURN_IF_ERROR(read_decoder(file_, path_));
    ETTIN_RETURN_IF_ERROR(check_model());
    ETTIN_ASSIGN_OR_RETURN(std::vector<AddedToken> added, read_added_tokens(file_, path_));
    ETTIN_ASSIGN_OR_RETURN(Vocabulary vocabulary, read_vocabulary(added));
    ETTIN_RETURN_IF_ERROR(check_alphabet(vocabulary));
    ETTIN_ASSIGN_OR_RETURN(MergeTable merges, read_merges(vocabulary));
    ETTIN_ASSIGN_OR_RETURN(const std::optional<bool> ignore_merges,
                           json_find<bool>(*model_, "ignore_merges", where_));
    TokenizerFile out{.vocabulary = std::move(vocabulary),
                      .merges = std::move(merges),
                      .ignore_merges = ignore_merges.value_or(false),
                      .normalize_nfc = nfc,
                      .added_tokens = std::move(added),
                      .single_template = {},
                      .pair_template = {}};
    ETTIN_RETURN_IF_ERROR(read_post_processor(file_, path_, &out));
    return out;
  }

 private:
  Status check_version() {
    if (!file_.is_object()) return bad_tokenizer(path_, "should be a JSON object");
    ETTIN_ASSIGN_OR_RETURN(const auto version, json_find<std::string>(file_, "version", path_));
    if (version.value_or("1.0") == "1.0") return {};
    return unsupported_tokenizer(path_, fmt::format("version is \"{:.40}\", not 1.0", *version));
  }

  // Every option of the model that would change the ids must be off.
  Status check_model() {
    model_ = json_member(file_, "model");
    if (model_ == nullptr || !model_->is_object()) {
      return bad_tokenizer(path_, "key \"model\" should be an object");
    }
    ETTIN_ASSIGN_OR_RETURN(const auto type, json_find<std::string>(*model_, "type", where_));
    if (type.value_or("BPE") != "BPE") {
      return unsupported_tokenizer(path_, fmt::format("model is {:.40}, not BPE", *type));
    }
    ETTIN_ASSIGN_OR_RETURN(const auto dropout, json_find<double>(*model_, "dropout", where_));
    if (dropout.value_or(0) != 0) return unsupported_tokenizer(path_, "model has dropout");
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      ETTIN_ASSIGN_OR_RETURN(const auto affix, json_find<std::string>(*model_, key, where_));
      if (affix && !affix->empty()) {
        return unsupported_tokenizer(path_, fmt::format("model has {} \"{:.40}\"", key, *affix));
      }
    }
    ETTIN_ASSIGN_OR_RETURN(const auto fallback, json_find<bool>(*model_, "byte_fallback", where_));
    if (fallback.value_or(false)) return unsupported_tokenizer(path_, "model has byte_fallback");
    return {};
  }

  // Fills in the vocabulary, then the added tokens that it lacks.
  Result<Vocabulary> read_vocabulary(const std::vector<AddedToken>& added) {
    const Json* list = json_member(*model_, "vocab");
    if (list == nullptr || !list->is_object()) {
      return bad_tokenizer(where_, "key \"vocab\" should be an object");
    }
    const auto& entries = list->get_ref<const Json::object_t&>();
    if (entries.size() > static_cast<size_t>(kMaxTokens)) {
      return bad_tokenizer(where_, fmt::format("\"vocab\" has {} entries; the limit is {}",
                                               entries.size(), kMaxTokens));
    }
    int32_t largest = -1;
    for (const auto& [spelling, value] : entries) {
      if (spelling.empty() || spelling.size() > kMaxTokenBytes) {
        return bad_tokenizer(where_, fmt::format("\"vocab\": a token has {} bytes, not 1 to {}",
                                                 spelling.size(), kMaxTokenBytes));
      }
      if (!value.is_number_integer()) {
        return bad_tokenizer(where_, fmt::format("\"vocab\": id of \"{:.40}\" should be an "
                                                 "integer, but is {}",
                                                 spelling, value.type_name()));
      }
      ETTIN_ASSIGN_OR_RETURN(const int32_t id, read_token_id(value, where_, "\"vocab\": an id"));
      largest = std::max(largest, id);
    }
    for (const AddedToken& token : added) largest = std::max(largest, token.id);
    const size_t limit = static_cast<size_t>(largest + 1);
    const size_t tokens = entries.size() + added.size();
    if (!is_dense(limit, tokens)) {
      return bad_tokenizer(path_, fmt::format("the largest id is {}, but there are only {} tokens",
                                              largest, tokens));
    }
    Vocabulary vocabulary(limit, tokens);
    for (const auto& [spelling, value] : entries) {
      const auto id = value.get<int32_t>();
      if (!vocabulary.add(id, spelling, Vocabulary::Origin::model)) {
        return bad_tokenizer(where_, fmt::format("\"vocab\": id {} belongs to \"{:.40}\" and "
                                                 "\"{:.40}\"",
                                                 id, vocabulary.spelling(id), spelling));
      }
    }
    ETTIN_RETURN_IF_ERROR(place_added_tokens(added, entries.size(), &vocabulary));
    return vocabulary;
  }

  // Hugging Face's `tokenizers` numbers added tokens itself and passes over the ids of the file
  // with a warning; a file whose ids differ would mean two things.
  Status place_added_tokens(const std::vector<AddedToken>& added, size_t model_size,
                            Vocabulary* vocabulary) {
    auto next = static_cast<int32_t>(model_size);
    std::vector<bool> seen(static_cast<size_t>(vocabulary->size()));
    for (size_t i = 0; i < added.size(); ++i) {
      const AddedToken& token = added[i];
      const std::string where = fmt::format("{}: added_tokens[{}]", path_, i);
      const std::optional<int32_t> known = vocabulary->find(token.content);
      const int32_t expected = known.value_or(next);
      if (token.id != expected) {
        return bad_tokenizer(where,
                             fmt::format("\"{:.40}\" has id {}, but {}", token.content, token.id,
                                         known ? fmt::format("\"vocab\" says {}", *known)
                                               : fmt::format("{} would be next", next)));
      }
      if (seen[static_cast<size_t>(token.id)]) {
        return bad_tokenizer(where, fmt::format("\"{:.40}\" is listed twice", token.content));
      }
      seen[static_cast<size_t>(token.id)] = true;
      if (!known && !vocabulary->add(token.id, token.content, Vocabulary::Origin::added)) {
        return bad_tokenizer(
            where, fmt::format("id {} of \"{:.40}\" belongs to \"{:.40}\"", token.id, token.content,
                               vocabulary->spelling(token.id)));
      }
      next = std::max(next, token.id + 1);
    }
    return {};
  }

  // An unknown token would stand for bytes without a symbol; with all symbols there are none.
  Status check_alphabet(const Vocabulary& vocabulary) {
    ETTIN_ASSIGN_OR_RETURN(const auto unknown,
                           json_find<std::string>(*model_, "unk_token", where_));
    if (!unknown || unknown->empty()) return {};
    for (unsigned byte = 0; byte < 0xf5; ++byte) {
      if (byte == 0xc0 || byte == 0xc1) continue;  // not in UTF-8, like the bytes from F5 on
      const auto spelling = ByteAlphabet::get().spelling(static_cast<uint8_t>(byte));
      if (!vocabulary.find_in_model(spelling)) {
        return unsupported_tokenizer(path_, fmt::format("model has an unk_token and no symbol for "
                                                        "byte {:#04x}",
                                                        byte));
      }
    }
    return {};
  }

  Result<MergeTable> read_merges(const Vocabulary& vocabulary) {
    const Json* list = json_member(*model_, "merges");
    if (list == nullptr || !list->is_array()) {
      return bad_tokenizer(where_, "key \"merges\" should be a list");
    }
    if (list->size() > kMaxMerges) {
      return bad_tokenizer(where_, fmt::format("\"merges\" has {} entries; the limit is {}",
                                               list->size(), kMaxMerges));
    }
    MergeTable table(list->size());
    uint32_t rank = 0;
    std::string merged;
    for (const Json& entry : *list) {
      const auto sides = merge_sides(entry);
      if (!sides) {
        return bad_tokenizer(where_,
                             fmt::format("merges[{}] is neither \"a b\" nor [\"a\", \"b\"]", rank));
      }
      merged.assign(sides->first).append(sides->second);
      const auto left = vocabulary.find_in_model(sides->first);
      const auto right = vocabulary.find_in_model(sides->second);
      const auto result = vocabulary.find_in_model(merged);
      if (!left || !right || !result) {
        const std::string_view missing = !left ? sides->first : !right ? sides->second : merged;
        return bad_tokenizer(
            where_, fmt::format("merges[{}]: \"{:.40}\" is not in the vocabulary", rank, missing));
      }
      if (!table.add({*left, *right, *result})) {
        return bad_tokenizer(where_, fmt::format("merges[{}] repeats \"{:.40}\" \"{:.40}\"", rank,
                                                 sides->first, sides->second));
      }
      ++rank;
    }
    return table;
  }

  static std::optional<std::pair<std::string_view, std::string_view>> merge_sides(
      const Json& entry) {
    if (entry.is_string()) {
      const std::string_view text = entry.get_ref<const std::string&>();
      const size_t space = text.find(' ');
      if (space == std::string_view::npos || text.find(' ', space + 1) != std::string_view::npos) {
        return std::nullopt;
      }
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
    if (!entry.is_array() || entry.size() != 2 || !entry[0].is_string() || !entry[1].is_string()) {
      return std::nullopt;
    }
    return std::pair(std::string_view(entry[0].get_ref<const std::string&>()),
                     std::string_view(entry[1].get_ref<const std::string&>()));
  }

  const Json& file_;
  std::string_view path_;
  std::string where_ = fmt::format("{}: model", path_);
  const Json* model_ = nullptr;
};

}  // namespace

Result<TokenizerFile> read_tokenizer_json(const std::string& path) {
  ETTIN_ASSIGN_OR_RETURN(const Json file, parse_json_file(path));
  return Reader(file, path).read();
}

}  // namespace ettin
