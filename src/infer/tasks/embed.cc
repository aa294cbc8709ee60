// Sentence vectors: pooling over the last hidden states, then what a sentence-transformers folder
// puts behind it.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "infer/encode.h"
#include "infer/tasks/tasks.h"

namespace ettin {
namespace {

constexpr std::array<std::pair<std::string_view, Pooling>, 4> kPoolings{{
    {"mean", Pooling::mean},
    {"cls", Pooling::cls},
    {"last", Pooling::last},
    {"weighted_mean", Pooling::weighted_mean},
}};

Result<Pooling> choose_pooling(const Session& session, const EmbedOptions& options) {
  if (!options.pooling) return session.embedding().pooling.value_or(Pooling::mean);
  for (const auto& [name, pooling] : kPoolings) {
    if (name == *options.pooling) return pooling;
  }
  return Status(StatusCode::invalid_argument,
                fmt::format("unknown pooling \"{}\"", *options.pooling),
                "choose mean, cls, last or weighted_mean");
}

// The prompt text put in front of every input.
Result<std::string> choose_prompt(const Session& session, const EmbedOptions& options) {
  const EmbeddingSettings& settings = session.embedding();
  const std::string& name =
      options.prompt_name.empty() ? settings.default_prompt : options.prompt_name;
  if (name.empty()) return std::string();
  std::string known;
  for (const auto& [key, text] : settings.prompts) {
    if (key == name) return text;
    known += (known.empty() ? "" : ", ") + key;
  }
  return Status(StatusCode::invalid_argument,
                fmt::format("{}: no prompt is named \"{}\"", session.info().directory, name),
                known.empty() ? "this model has no prompts" : "choose one of: " + known);
}

// Applies the folder's modules to pooled vectors [N, H]; returns [N, dimensions].
View apply_modules(const Session& session, View x, bool normalize, Arena& arena) {
  const Backend& backend = session.backend();
  for (const EmbeddingModule& m : session.embedding().modules) {
    switch (m.kind) {
      case EmbeddingModule::Kind::dense: {
        const View out = backend.allocate(arena, x.rows, m.dense.out_features);
        backend.linear(x, m.dense, Epilogue::store, m.activation, out);
        x = out;
        break;
      }
      case EmbeddingModule::Kind::layer_norm:
        backend.layer_norm(x, m.norm, x);
        break;
      case EmbeddingModule::Kind::normalize:
        break;  // decided by the caller, applied last
    }
  }
  if (normalize) backend.l2_normalize(x);
  return x;
}

}  // namespace

Result<EmbedResult> embed(const Session& session, std::span<const TextInput> inputs,
                          const EmbedOptions& options) {
  const EmbeddingSettings& settings = session.embedding();
  ETTIN_ASSIGN_OR_RETURN(const Pooling pooling, choose_pooling(session, options));
  ETTIN_ASSIGN_OR_RETURN(const std::string prompt, choose_prompt(session, options));
  std::vector<TextInput> prompted;
  if (!prompt.empty()) {
    prompted.assign(inputs.begin(), inputs.end());
    for (TextInput& in : prompted) in.text.insert(0, prompt);
    inputs = prompted;
  }
  const int64_t limit = std::min(session.max_tokens(), settings.max_length.value_or(INT64_MAX));
  ETTIN_ASSIGN_OR_RETURN(const std::vector<Encoding> encodings,
                         encode_inputs(session, inputs, options.over_length, false, limit));
  const bool normalize = options.normalize.value_or(std::any_of(
      settings.modules.begin(), settings.modules.end(),
      [](const EmbeddingModule& m) { return m.kind == EmbeddingModule::Kind::normalize; }));

  EmbedResult result;
  result.rows = static_cast<int64_t>(inputs.size());
  for (const Encoding& e : encodings) {
    if (e.ids.empty()) {
      return Status(StatusCode::invalid_argument, "an empty text has no tokens to pool",
                    "this tokenizer adds no special tokens; give a text");
    }
    result.num_tokens.push_back(static_cast<int64_t>(e.ids.size()));
    result.truncated.push_back(e.truncated);
  }
  const Status status = for_each_group(
      inputs.size(), session.batch_tokens(), [&](size_t i) { return result.num_tokens[i]; },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Batch batch;
        for (size_t i = first; i < last; ++i) batch.append(encodings[i].ids);
        const View hidden = backbone_forward(session.network(), batch, {}, scratch.arena());
        const View pooled =
            session.backend().allocate(scratch.arena(), batch.sequences(), hidden.cols);
        session.backend().pool(hidden, batch.starts, pooling, pooled);
        const View out = apply_modules(session, pooled, normalize, scratch.arena());
        result.dimensions = out.cols;
        const size_t before = result.values.size();
        result.values.resize(before + static_cast<size_t>(out.rows * out.cols));
        session.backend().copy_to_host(out, std::span(result.values).subspan(before));
        return {};
      });
  ETTIN_RETURN_IF_ERROR(status);
  return result;
}

}  // namespace ettin
