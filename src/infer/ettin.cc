// The public facade: each method is the task of the same name.
#include "ettin/ettin.h"

#include <fmt/format.h>

#include "infer/encode.h"
#include "infer/resolve_model.h"
#include "infer/session.h"
#include "infer/tasks/tasks.h"

namespace ettin {

Result<Model> Model::load(const std::string& model, const ModelOptions& options) {
  ETTIN_RETURN_IF_ERROR(check_options(options));
  ETTIN_ASSIGN_OR_RETURN(const std::string directory,
                         resolve_model(model, resolve_options(options)));
  ETTIN_ASSIGN_OR_RETURN(std::shared_ptr<const Session> session, Session::load(directory, options));
  return Model(std::move(session));
}

Result<Model> Model::random(std::string_view size, bool decoder, uint64_t seed,
                            const ModelOptions& options) {
  ETTIN_ASSIGN_OR_RETURN(std::shared_ptr<const Session> session,
                         Session::random(size, decoder, seed, options));
  return Model(std::move(session));
}

const ModelInfo& Model::info() const { return session_->info(); }

bool Model::is_decoder() const { return session_->config().arm.direction == Direction::causal; }

Result<std::vector<FillMaskResult>> Model::fill_mask(std::span<const TextInput> inputs,
                                                     const FillMaskOptions& options) const {
  ETTIN_RETURN_IF_ERROR(need_weights(*session_));
  return ettin::fill_mask(*session_, inputs, options);
}

Result<std::vector<GenerateResult>> Model::generate(std::span<const TextInput> prompts,
                                                    const GenerateOptions& options,
                                                    const GenerateCallback& callback) const {
  ETTIN_RETURN_IF_ERROR(need_weights(*session_));
  return ettin::generate(*session_, prompts, options, callback);
}

Result<EmbedResult> Model::embed(std::span<const TextInput> inputs,
                                 const EmbedOptions& options) const {
  ETTIN_RETURN_IF_ERROR(need_weights(*session_));
  return ettin::embed(*session_, inputs, options);
}

Result<std::vector<ScoreResult>> Model::score(std::span<const TextInput> inputs,
                                              const ScoreOptions& options) const {
  ETTIN_RETURN_IF_ERROR(need_weights(*session_));
  return ettin::score(*session_, inputs, options);
}

Result<std::vector<ClassifyResult>> Model::classify(std::span<const TextInput> inputs,
                                                    const ClassifyOptions& options) const {
  ETTIN_RETURN_IF_ERROR(need_weights(*session_));
  return ettin::classify(*session_, inputs, options);
}

Result<std::vector<TokenClassifyResult>> Model::token_classify(
    std::span<const TextInput> inputs, const TokenClassifyOptions& options) const {
  ETTIN_RETURN_IF_ERROR(need_weights(*session_));
  return ettin::token_classify(*session_, inputs, options);
}

Result<TokenizeResult> Model::tokenize(const TextInput& input, bool add_special_tokens) const {
  ETTIN_RETURN_IF_ERROR(need_tokenizer(*session_));
  ETTIN_RETURN_IF_ERROR(check_text_size(input, 0));
  const Tokenizer& tokenizer = session_->tokenizer();
  EncodeOptions options;
  options.add_special_tokens = add_special_tokens;
  options.with_offsets = true;
  const Encoding e = input.pair ? tokenizer.encode_pair(input.text, *input.pair, options)
                                : tokenizer.encode(input.text, options);
  TokenizeResult result;
  result.ids = e.ids;
  for (size_t i = 0; i < e.ids.size(); ++i) {
    result.tokens.emplace_back(tokenizer.token_string(e.ids[i]));
    result.offsets.emplace_back(e.char_offsets[i].begin, e.char_offsets[i].end);
  }
  return result;
}

Result<std::string> Model::detokenize(std::span<const int32_t> ids,
                                      bool skip_special_tokens) const {
  ETTIN_RETURN_IF_ERROR(need_tokenizer(*session_));
  for (const int32_t id : ids) {
    if (id < 0 || id >= session_->tokenizer().vocab_size()) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("id {} is outside the vocabulary of {}", id,
                                session_->tokenizer().vocab_size()));
    }
  }
  return session_->tokenizer().decode(ids, skip_special_tokens);
}

Result<std::vector<ForwardOutput>> Model::forward(std::span<const ForwardInput> inputs) const {
  ETTIN_RETURN_IF_ERROR(need_weights(*session_));
  return ettin::forward(*session_, inputs);
}

}  // namespace ettin
