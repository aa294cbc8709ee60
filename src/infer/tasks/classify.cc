// Text classification, with the score functions of Hugging Face's pipeline.
#include <algorithm>
#include <numeric>

#include "infer/encode.h"
#include "infer/probabilities.h"
#include "infer/tasks/tasks.h"
#include "model/heads.h"

namespace ettin {
namespace {

ScoreFunction choose_function(const ModelConfig& c, ScoreFunction asked) {
  if (asked != ScoreFunction::automatic) return asked;
  if (c.problem_type == "regression") return ScoreFunction::none;
  if (c.problem_type == "multi_label_classification" || c.num_labels == 1) {
    return ScoreFunction::sigmoid;
  }
  return ScoreFunction::softmax;
}

std::vector<LabelScore> rank_labels(const ModelConfig& c, std::span<const double> logits,
                                    ScoreFunction function, int64_t top_k) {
  std::vector<double> scores(logits.begin(), logits.end());
  if (function == ScoreFunction::softmax) scores = softmax(logits);
  if (function == ScoreFunction::sigmoid) {
    for (double& s : scores) s = sigmoid(s);
  }
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  if (top_k > 0 && static_cast<size_t>(top_k) < order.size()) {
    order.resize(static_cast<size_t>(top_k));
  }
  std::vector<LabelScore> ranked;
  for (const size_t i : order) ranked.push_back({c.labels[i], scores[i]});
  return ranked;
}

}  // namespace

Result<std::vector<ClassifyResult>> classify(const Session& session,
                                             std::span<const TextInput> inputs,
                                             const ClassifyOptions& options) {
  const ModelConfig& c = session.config();
  if (c.head != Head::sequence_classification) {
    return wrong_task(session, "classify", "a sequence-classification head",
                      c.head == Head::token_classification
                          ? "use token-classify with this model"
                          : "this is a base model: fine-tune it, or use embed");
  }
  ETTIN_ASSIGN_OR_RETURN(const std::vector<Encoding> encodings,
                         encode_inputs(session, inputs, options.over_length, false));
  const ScoreFunction function = choose_function(c, options.function);
  std::vector<ClassifyResult> results(inputs.size());
  for (size_t i = 0; i < results.size(); ++i) {
    results[i].num_tokens = static_cast<int64_t>(encodings[i].ids.size());
    results[i].truncated = encodings[i].truncated;
    if (encodings[i].ids.empty()) {
      return Status(StatusCode::invalid_argument, "an empty text has no tokens to classify",
                    "this tokenizer adds no special tokens; give a text");
    }
  }
  const Status status = for_each_group(
      inputs.size(), session.batch_tokens(), [&](size_t i) { return results[i].num_tokens; },
      [&](size_t first, size_t last) -> Status {
        Session::Scratch scratch(session);
        Batch batch;
        for (size_t i = first; i < last; ++i) batch.append(encodings[i].ids);
        const View hidden = backbone_forward(session.network(), batch, {}, scratch.arena());
        const View logits =
            sequence_logits(session.network(), hidden, batch.starts, scratch.arena());
        std::vector<double> row(static_cast<size_t>(logits.cols));
        for (size_t i = first; i < last; ++i) {
          session.backend().copy_to_host(logits.slice_rows(static_cast<int64_t>(i - first), 1),
                                         std::span(row));
          results[i].labels = rank_labels(c, row, function, options.top_k);
        }
        return {};
      });
  ETTIN_RETURN_IF_ERROR(status);
  return results;
}

}  // namespace ettin
