#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/utf8.h"
#include "text/clean_up.h"
#include "text/text_encoder.h"
#include "text/tokenizer_config.h"
#include "text/tokenizer_json.h"

namespace ettin {
namespace {

struct SpecialIds {
  std::optional<int32_t> bos, eos, cls, sep, pad, mask, unk;
};

using Kind = TemplatePiece::Kind;

int64_t count_special(const std::vector<TemplatePiece>& pieces) {
  return std::count_if(pieces.begin(), pieces.end(),
                       [](const TemplatePiece& piece) { return piece.kind == Kind::special; });
}

// How many tokens of a text and its pair stay when together they may have `limit`: Hugging Face's
// "longest_first", which cuts the longer one down to the shorter and then both alike.
std::pair<size_t, size_t> longest_first(size_t text, size_t pair, size_t limit) {
  if (text + pair <= limit) return {text, pair};
  const size_t shorter = std::min(text, pair);
  size_t keep_shorter = shorter;
  size_t keep_longer = shorter > limit ? shorter : std::max(shorter, limit - shorter);
  if (keep_shorter + keep_longer > limit) {
    keep_shorter = limit / 2;
    keep_longer = keep_shorter + limit % 2;
  }
  return text <= pair ? std::pair(keep_shorter, keep_longer) : std::pair(keep_longer, keep_shorter);
}

void truncate(size_t keep, TokenRun* run) {
  run->ids.resize(keep);
  if (run->byte_offsets.empty()) return;
  run->byte_offsets.resize(keep);
  run->char_offsets.resize(keep);
}

// What tokenizers of different templates share.
struct Shared {
  Shared(TokenizerFile from, TokenizerConfig settings)
      : file(std::move(from)),
        config(std::move(settings)),
        encoder(file.vocabulary, Bpe(file.vocabulary, std::move(file.merges), file.ignore_merges),
                file.added_tokens,
                {.normalize_nfc = file.normalize_nfc, .trim_offsets = file.trim_offsets}),
        special(static_cast<size_t>(file.vocabulary.size())) {
    for (const AddedToken& token : file.added_tokens) {
      special[static_cast<size_t>(token.id)] = token.special;
    }
  }
  Shared(const Shared&) = delete;  // the encoder refers to the vocabulary
  Shared& operator=(const Shared&) = delete;

  TokenizerFile file;  // its merges have moved on
  TokenizerConfig config;
  TextEncoder encoder;
  SpecialIds ids;
  std::vector<bool> special;  // by id
};

}  // namespace

struct Tokenizer::Impl {
  std::shared_ptr<const Shared> shared;
  std::vector<TemplatePiece> single_template;
  std::vector<TemplatePiece> pair_template;

  const Vocabulary& vocabulary() const { return shared->file.vocabulary; }

  TokenRun run(std::string_view text, const EncodeOptions& options) const {
    return shared->encoder.encode(text, options.with_offsets);
  }

  // Cuts, then puts the runs into the template.
  static Encoding assemble(const std::vector<TemplatePiece>& pieces, TokenRun text, TokenRun pair,
                           const EncodeOptions& options);
};

Encoding Tokenizer::Impl::assemble(const std::vector<TemplatePiece>& pieces, TokenRun text,
                                   TokenRun pair, const EncodeOptions& options) {
  const int64_t added = options.add_special_tokens ? count_special(pieces) : 0;
  Encoding out;
  out.full_length = static_cast<int64_t>(text.ids.size() + pair.ids.size()) + added;
  if (options.max_length > 0 && out.full_length > options.max_length) {
    const auto limit = static_cast<size_t>(std::max<int64_t>(options.max_length - added, 0));
    const auto [keep_text, keep_pair] = longest_first(text.ids.size(), pair.ids.size(), limit);
    out.truncated = keep_text < text.ids.size() || keep_pair < pair.ids.size();
    truncate(keep_text, &text);
    truncate(keep_pair, &pair);
  }
  const size_t length = text.ids.size() + pair.ids.size() + static_cast<size_t>(added);
  out.ids.reserve(length);
  out.special.reserve(length);
  out.sequence.reserve(length);
  const auto append = [](const auto& from, auto* to) {
    to->insert(to->end(), from.begin(), from.end());
  };
  for (const TemplatePiece& piece : pieces) {
    if (piece.kind == Kind::special) {
      if (!options.add_special_tokens) continue;
      out.ids.push_back(piece.id);
      out.special.push_back(1);
      out.sequence.push_back(0);
      if (options.with_offsets) {
        out.byte_offsets.emplace_back();
        out.char_offsets.emplace_back();
      }
      continue;
    }
    const TokenRun& run = piece.kind == Kind::text ? text : pair;
    append(run.ids, &out.ids);
    append(run.byte_offsets, &out.byte_offsets);
    append(run.char_offsets, &out.char_offsets);
    out.special.resize(out.ids.size(), 0);
    out.sequence.resize(out.ids.size(), piece.kind == Kind::text ? 0 : 1);
  }
  return out;
}

Tokenizer::Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::~Tokenizer() = default;

namespace {

// A token that a settings file names must exist; the standard content is only tried.
Status find_special(const Vocabulary& vocabulary, const std::string& directory,
                    const std::optional<std::string>& name, const char* standard,
                    std::optional<int32_t>* id) {
  if (!name) {
    if (standard != nullptr) *id = vocabulary.find(standard);
    return {};
  }
  *id = vocabulary.find(*name);
  if (*id) return {};
  return Status(StatusCode::bad_data,
                fmt::format("{}: a special token is \"{:.40}\", which tokenizer.json does not have",
                            join_path(directory, "tokenizer_config.json"), *name),
                "the files belong to different tokenizers; take both from one repository");
}

Status find_specials(const Vocabulary& vocabulary, const std::string& directory,
                     const SpecialTokenNames& names, SpecialIds* ids) {
  const auto find = [&](const std::optional<std::string>& name, const char* standard,
                        std::optional<int32_t>* id) {
    return find_special(vocabulary, directory, name, standard, id);
  };
  ETTIN_RETURN_IF_ERROR(find(names.bos, nullptr, &ids->bos));
  ETTIN_RETURN_IF_ERROR(find(names.eos, nullptr, &ids->eos));
  ETTIN_RETURN_IF_ERROR(find(names.cls, "[CLS]", &ids->cls));
  ETTIN_RETURN_IF_ERROR(find(names.sep, "[SEP]", &ids->sep));
  ETTIN_RETURN_IF_ERROR(find(names.pad, "[PAD]", &ids->pad));
  ETTIN_RETURN_IF_ERROR(find(names.mask, "[MASK]", &ids->mask));
  return find(names.unk, "[UNK]", &ids->unk);
}

Result<std::shared_ptr<const Shared>> load_shared(const std::string& path, TokenizerConfig config,
                                                  const std::string& directory) {
  ETTIN_ASSIGN_OR_RETURN(TokenizerFile file, read_tokenizer_json(path));
  auto shared = std::make_shared<Shared>(std::move(file), std::move(config));
  ETTIN_RETURN_IF_ERROR(
      find_specials(shared->file.vocabulary, directory, shared->config.names, &shared->ids));
  return std::shared_ptr<const Shared>(std::move(shared));
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load(const std::string& directory) {
  ETTIN_ASSIGN_OR_RETURN(TokenizerConfig config, read_tokenizer_config(directory));
  ETTIN_ASSIGN_OR_RETURN(auto shared, load_shared(join_path(directory, "tokenizer.json"),
                                                  std::move(config), directory));
  auto impl = std::make_shared<Impl>(
      Impl{shared, shared->file.single_template, shared->file.pair_template});
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

Result<std::shared_ptr<const Tokenizer>> Tokenizer::load_file(const std::string& path) {
  ETTIN_ASSIGN_OR_RETURN(auto shared, load_shared(path, {}, {}));
  auto impl = std::make_shared<Impl>(
      Impl{shared, shared->file.single_template, shared->file.pair_template});
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

Encoding Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  return Impl::assemble(impl_->single_template, impl_->run(text, options), {}, options);
}

Encoding Tokenizer::encode_pair(std::string_view text, std::string_view pair,
                                const EncodeOptions& options) const {
  return Impl::assemble(impl_->pair_template, impl_->run(text, options), impl_->run(pair, options),
                        options);
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special_tokens,
                              std::optional<bool> clean_up) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (skip_special_tokens && is_special(id)) continue;
    bytes += impl_->vocabulary().bytes(id);
  }
  std::string text = replace_invalid_utf8(bytes);
  const bool cleans =
      clean_up.value_or(impl_->shared->config.clean_up_tokenization_spaces.value_or(true));
  return cleans ? clean_up_spaces(std::move(text)) : text;
}

std::string_view Tokenizer::token_string(int32_t id) const {
  return impl_->vocabulary().spelling(id);
}

std::string Tokenizer::decode_bytes(int32_t id) const {
  return std::string(impl_->vocabulary().bytes(id));
}

std::optional<int32_t> Tokenizer::token_id(std::string_view token) const {
  return impl_->vocabulary().find(token);
}

bool Tokenizer::is_special(int32_t id) const {
  const std::vector<bool>& special = impl_->shared->special;
  return id >= 0 && static_cast<size_t>(id) < special.size() && special[static_cast<size_t>(id)];
}

int64_t Tokenizer::vocab_size() const { return impl_->vocabulary().size(); }

std::optional<int32_t> Tokenizer::bos_id() const { return impl_->shared->ids.bos; }
std::optional<int32_t> Tokenizer::eos_id() const { return impl_->shared->ids.eos; }
std::optional<int32_t> Tokenizer::cls_id() const { return impl_->shared->ids.cls; }
std::optional<int32_t> Tokenizer::sep_id() const { return impl_->shared->ids.sep; }
std::optional<int32_t> Tokenizer::pad_id() const { return impl_->shared->ids.pad; }
std::optional<int32_t> Tokenizer::mask_id() const { return impl_->shared->ids.mask; }
std::optional<int32_t> Tokenizer::unk_id() const { return impl_->shared->ids.unk; }

std::optional<int64_t> Tokenizer::model_max_length() const {
  return impl_->shared->config.model_max_length;
}
std::optional<bool> Tokenizer::add_bos_token() const { return impl_->shared->config.add_bos_token; }
std::optional<bool> Tokenizer::add_eos_token() const { return impl_->shared->config.add_eos_token; }

std::shared_ptr<const Tokenizer> Tokenizer::with_template(Template which) const {
  const TokenizerFile& file = impl_->shared->file;
  auto impl = std::make_shared<Impl>(Impl{impl_->shared, file.single_template, file.pair_template});
  if (which == Template::serialized) {
    return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
  }
  const bool begins = which == Template::bos_only, ends = which == Template::eos_only;
  const std::optional<int32_t> bos = bos_id() ? bos_id() : cls_id();
  const std::optional<int32_t> eos = eos_id() ? eos_id() : sep_id();
  // A side that stays keeps what the file puts there, or gets the one token that belongs there.
  for (auto* pieces : {&impl->single_template, &impl->pair_template}) {
    const auto is_text = [](const TemplatePiece& p) { return p.kind != Kind::special; };
    const auto first = std::find_if(pieces->begin(), pieces->end(), is_text);
    const auto last = std::find_if(pieces->rbegin(), pieces->rend(), is_text).base();
    std::vector<TemplatePiece> kept(begins ? pieces->begin() : first, ends ? pieces->end() : last);
    if (begins && is_text(kept.front()) && bos) kept.insert(kept.begin(), {Kind::special, *bos});
    if (ends && is_text(kept.back()) && eos) kept.push_back({Kind::special, *eos});
    *pieces = std::move(kept);
  }
  return std::shared_ptr<const Tokenizer>(new Tokenizer(std::move(impl)));
}

}  // namespace ettin
