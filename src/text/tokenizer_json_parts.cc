#include "text/tokenizer_json_parts.h"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "text/pretokenize.h"

namespace ettin {
namespace {

constexpr std::string_view kDamaged = "take tokenizer.json anew from the model's repository";
constexpr std::string_view kOnlyEttin =
    "ettin reads byte-level BPE tokenizers like those of Ettin and ModernBERT";

// The string "type" of a part.
Result<std::string> type_of(const Json& part, std::string_view path, std::string_view name) {
  if (!part.is_object()) {
    return bad_tokenizer(path, fmt::format("key \"{}\" should be an object or null, but is {}",
                                           name, part.type_name()));
  }
  return json_get<std::string>(part, "type", fmt::format("{}: {}", path, name));
}

// A part that is present and not null.
const Json* find_part(const Json& file, std::string_view name) {
  const Json* part = json_member(file, name);
  return part == nullptr || part->is_null() ? nullptr : part;
}

// The array `key` of a Sequence.
Result<const Json*> list_of(const Json& part, std::string_view key, std::string_view where) {
  const Json* list = json_member(part, key);
  if (list == nullptr || !list->is_array()) {
    return Status(StatusCode::bad_data, fmt::format("{}: key \"{}\" should be a list", where, key),
                  std::string(kDamaged));
  }
  return list;
}

Status check_byte_level(const Json& part, bool want_regex, std::string_view path) {
  const std::string where = fmt::format("{}: pre_tokenizer", path);
  ETTIN_ASSIGN_OR_RETURN(const bool prefix, json_get<bool>(part, "add_prefix_space", where));
  ETTIN_ASSIGN_OR_RETURN(const std::optional<bool> regex,
                         json_find<bool>(part, "use_regex", where));
  if (prefix) {
    return unsupported_tokenizer(path, "pre_tokenizer ByteLevel has add_prefix_space = true");
  }
  if (regex.value_or(true) != want_regex) {
    return unsupported_tokenizer(
        path, fmt::format("pre_tokenizer ByteLevel has use_regex = {}", !want_regex));
  }
  return {};
}

// A Split that says what ByteLevel with use_regex says.
Status check_split(const Json& part, std::string_view path) {
  const std::string where = fmt::format("{}: pre_tokenizer", path);
  const Json* pattern = json_member(part, "pattern");
  const Json* regex = pattern == nullptr ? nullptr : json_member(*pattern, "Regex");
  if (regex == nullptr || !regex->is_string() ||
      regex->get_ref<const std::string&>() != kGpt2Split) {
    return unsupported_tokenizer(path, "pre_tokenizer Split has another pattern than GPT-2's");
  }
  ETTIN_ASSIGN_OR_RETURN(const std::string behavior,
                         json_get<std::string>(part, "behavior", where));
  ETTIN_ASSIGN_OR_RETURN(const std::optional<bool> invert, json_find<bool>(part, "invert", where));
  if (behavior != "Isolated" || invert.value_or(false)) {
    return unsupported_tokenizer(path, "pre_tokenizer Split is not Isolated and not inverted");
  }
  return {};
}

class PostProcessorReader {
 public:
  PostProcessorReader(std::string_view path, TokenizerFile* out) : path_(path), out_(*out) {}

  Status read(const Json& part) {
    ETTIN_ASSIGN_OR_RETURN(const std::string type, type_of(part, path_, "post_processor"));
    if (type == "ByteLevel") return read_byte_level(part);
    if (type == "TemplateProcessing") return read_templates(part);
    if (type != "Sequence" || in_sequence_) {
      return unsupported_tokenizer(path_, fmt::format("post_processor is {:.40}", type));
    }
    in_sequence_ = true;
    ETTIN_ASSIGN_OR_RETURN(const Json* list,
                           list_of(part, "processors", fmt::format("{}: post_processor", path_)));
    for (const Json& processor : *list) ETTIN_RETURN_IF_ERROR(read(processor));
    return {};
  }

 private:
  Status read_byte_level(const Json& part) {
    const std::string where = fmt::format("{}: post_processor", path_);
    ETTIN_ASSIGN_OR_RETURN(const bool trim, json_get<bool>(part, "trim_offsets", where));
    ETTIN_ASSIGN_OR_RETURN(const bool prefix, json_get<bool>(part, "add_prefix_space", where));
    if (trim && prefix) {
      return unsupported_tokenizer(
          path_, "post_processor ByteLevel has trim_offsets and add_prefix_space = true");
    }
    out_.trim_offsets = out_.trim_offsets || trim;
    return {};
  }

  Status read_templates(const Json& part) {
    if (has_templates_) return unsupported_tokenizer(path_, "post_processor has two templates");
    has_templates_ = true;
    special_tokens_ = json_member(part, "special_tokens");
    ETTIN_RETURN_IF_ERROR(read_template(part, "single", false, &out_.single_template));
    return read_template(part, "pair", true, &out_.pair_template);
  }

  Status read_template(const Json& part, std::string_view key, bool is_pair,
                       std::vector<TemplatePiece>* out) {
    ETTIN_ASSIGN_OR_RETURN(const Json* list,
                           list_of(part, key, fmt::format("{}: post_processor", path_)));
    out->clear();
    for (const Json& piece : *list) {
      ETTIN_RETURN_IF_ERROR(read_piece(piece, key, out));
      if (out->size() > kMaxTemplatePieces) {
        return bad_tokenizer(path_, fmt::format("post_processor: template \"{}\" has more than {} "
                                                "tokens",
                                                key, kMaxTemplatePieces));
      }
    }
    const auto uses = [&](TemplatePiece::Kind kind) {
      return std::count_if(out->begin(), out->end(),
                           [kind](const TemplatePiece& p) { return p.kind == kind; });
    };
    if (uses(TemplatePiece::Kind::text) != 1 ||
        uses(TemplatePiece::Kind::pair) != (is_pair ? 1 : 0)) {
      return unsupported_tokenizer(
          path_, fmt::format("post_processor: template \"{}\" should use sequence {} once", key,
                             is_pair ? "A once and B" : "A alone and"));
    }
    return {};
  }

  Status read_piece(const Json& piece, std::string_view key, std::vector<TemplatePiece>* out) {
    const std::string where = fmt::format("{}: post_processor: template \"{}\"", path_, key);
    if (const Json* sequence = json_member(piece, "Sequence")) {
      const Json* id = json_member(*sequence, "id");
      if (id == nullptr || (*id != "A" && *id != "B")) {
        return bad_tokenizer(where, "\"Sequence\" should have \"id\" A or B");
      }
      out->push_back({*id == "A" ? TemplatePiece::Kind::text : TemplatePiece::Kind::pair, -1});
      return {};
    }
    const Json* special = json_member(piece, "SpecialToken");
    if (special == nullptr) {
      return bad_tokenizer(where, "a piece is neither \"Sequence\" nor \"SpecialToken\"");
    }
    ETTIN_ASSIGN_OR_RETURN(const std::string name, json_get<std::string>(*special, "id", where));
    const Json* entry = special_tokens_ ? json_member(*special_tokens_, name) : nullptr;
    const Json* ids = entry ? json_member(*entry, "ids") : nullptr;
    if (ids == nullptr || !ids->is_array()) {
      return bad_tokenizer(where,
                           fmt::format("\"special_tokens\" has no ids for \"{:.40}\"", name));
    }
    if (ids->size() > kMaxTemplatePieces) {
      return bad_tokenizer(where, fmt::format("\"{:.40}\" has {} ids", name, ids->size()));
    }
    for (const Json& value : *ids) {
      ETTIN_ASSIGN_OR_RETURN(const int32_t id, read_token_id(value, where, "an id"));
      if (!out_.vocabulary.contains(id)) {
        return bad_tokenizer(where,
                             fmt::format("id {} of \"{:.40}\" is not in the vocabulary", id, name));
      }
      out->push_back({TemplatePiece::Kind::special, id});
    }
    return {};
  }

  std::string_view path_;
  TokenizerFile& out_;
  const Json* special_tokens_ = nullptr;
  bool in_sequence_ = false;
  bool has_templates_ = false;
};

}  // namespace

Status bad_tokenizer(std::string_view path, std::string_view what) {
  return Status(StatusCode::bad_data, fmt::format("{}: {}", path, what), std::string(kDamaged));
}

Status unsupported_tokenizer(std::string_view path, std::string_view what) {
  return Status(StatusCode::unsupported, fmt::format("{}: unsupported tokenizer: {}", path, what),
                std::string(kOnlyEttin));
}

Result<int32_t> read_token_id(const Json& value, std::string_view path, std::string_view what) {
  if (!value.is_number_integer()) {
    return bad_tokenizer(
        path, fmt::format("{} should be an integer, but is {}", what, value.type_name()));
  }
  // As unsigned, a negative number is out of range too.
  const auto id = value.get<uint64_t>();
  if (id >= static_cast<uint64_t>(kMaxTokens)) {
    return bad_tokenizer(
        path, fmt::format("{} is {}, not in 0 to {}", what, value.dump(), kMaxTokens - 1));
  }
  return static_cast<int32_t>(id);
}

Result<bool> read_normalizer(const Json& file, std::string_view path) {
  const Json* part = find_part(file, "normalizer");
  if (part == nullptr) return false;
  ETTIN_ASSIGN_OR_RETURN(const std::string type, type_of(*part, path, "normalizer"));
  if (type == "NFC") return true;
  return unsupported_tokenizer(path, fmt::format("normalizer is {:.40}, not NFC", type));
}

Status read_pre_tokenizer(const Json& file, std::string_view path) {
  const Json* part = find_part(file, "pre_tokenizer");
  if (part == nullptr) return unsupported_tokenizer(path, "there is no pre_tokenizer");
  ETTIN_ASSIGN_OR_RETURN(const std::string type, type_of(*part, path, "pre_tokenizer"));
  if (type == "ByteLevel") return check_byte_level(*part, true, path);
  if (type != "Sequence") {
    return unsupported_tokenizer(path, fmt::format("pre_tokenizer is {:.40}, not ByteLevel", type));
  }
  ETTIN_ASSIGN_OR_RETURN(const Json* list,
                         list_of(*part, "pretokenizers", fmt::format("{}: pre_tokenizer", path)));
  std::vector<std::string> types;
  for (const Json& step : *list) {
    if (types.size() == 2) break;
    ETTIN_ASSIGN_OR_RETURN(std::string step_type, type_of(step, path, "pre_tokenizer"));
    types.push_back(std::move(step_type));
  }
  if (list->size() == 1 && types[0] == "ByteLevel") return check_byte_level((*list)[0], true, path);
  if (list->size() == 2 && types[0] == "Split" && types[1] == "ByteLevel") {
    ETTIN_RETURN_IF_ERROR(check_split((*list)[0], path));
    return check_byte_level((*list)[1], false, path);
  }
  return unsupported_tokenizer(path, "pre_tokenizer is a Sequence that does not equal ByteLevel");
}

Status read_decoder(const Json& file, std::string_view path) {
  const Json* part = find_part(file, "decoder");
  if (part == nullptr) return unsupported_tokenizer(path, "there is no decoder");
  ETTIN_ASSIGN_OR_RETURN(const std::string type, type_of(*part, path, "decoder"));
  if (type == "ByteLevel") return {};
  return unsupported_tokenizer(path, fmt::format("decoder is {:.40}, not ByteLevel", type));
}

Result<std::vector<AddedToken>> read_added_tokens(const Json& file, std::string_view path) {
  const Json* list = find_part(file, "added_tokens");
  std::vector<AddedToken> tokens;
  if (list == nullptr) return tokens;
  if (!list->is_array()) return bad_tokenizer(path, "key \"added_tokens\" should be a list");
  if (list->size() > static_cast<size_t>(kMaxTokens)) {
    return bad_tokenizer(path, fmt::format("added_tokens has {} entries; the limit is {}",
                                           list->size(), kMaxTokens));
  }
  for (const Json& entry : *list) {
    const std::string where = fmt::format("{}: added_tokens[{}]", path, tokens.size());
    AddedToken token;
    ETTIN_ASSIGN_OR_RETURN(token.content, json_get<std::string>(entry, "content", where));
    if (token.content.empty() || token.content.size() > kMaxTokenBytes) {
      return bad_tokenizer(where, fmt::format("\"content\" has {} bytes, not 1 to {}",
                                              token.content.size(), kMaxTokenBytes));
    }
    const Json* id = json_member(entry, "id");
    if (id == nullptr) return bad_tokenizer(where, "key \"id\" is missing");
    ETTIN_ASSIGN_OR_RETURN(token.id, read_token_id(*id, where, "\"id\""));
    ETTIN_ASSIGN_OR_RETURN(token.single_word, json_get<bool>(entry, "single_word", where));
    ETTIN_ASSIGN_OR_RETURN(token.lstrip, json_get<bool>(entry, "lstrip", where));
    ETTIN_ASSIGN_OR_RETURN(token.rstrip, json_get<bool>(entry, "rstrip", where));
    ETTIN_ASSIGN_OR_RETURN(token.normalized, json_get<bool>(entry, "normalized", where));
    ETTIN_ASSIGN_OR_RETURN(token.special, json_get<bool>(entry, "special", where));
    tokens.push_back(std::move(token));
  }
  return tokens;
}

Status read_post_processor(const Json& file, std::string_view path, TokenizerFile* out) {
  out->single_template = {{TemplatePiece::Kind::text, -1}};
  out->pair_template = {{TemplatePiece::Kind::text, -1}, {TemplatePiece::Kind::pair, -1}};
  const Json* part = find_part(file, "post_processor");
  return part == nullptr ? Status() : PostProcessorReader(path, out).read(*part);
}

}  // namespace ettin
