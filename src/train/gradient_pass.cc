#include "train/gradient_pass.h"

#include <algorithm>
#include <cstring>

namespace ettin {

GradientPass::GradientPass(const ModelConfig& config, Dtype dtype)
    : gradients_(make_parameters(config, dtype)) {}

double GradientPass::run_one(const TrainedNetwork& trained, const Microbatch& m,
                             const PassOptions& options, bool backward) {
  arena_.reset();
  const Network& network = trained.network;
  Tape tape;
  tape.ops = &trained.ops();
  tape.token_embedding = trained.values.token_embedding.weight;
  tape.attention_out_dropout = options.attention_out_dropout;
  tape.row_keys = m.data.row_keys;
  tape.recompute = options.recompute;
  tape.pad_row_quirk = options.pad_row_quirk;
  const View hidden = backbone_forward(network, m.data.batch, {}, arena_, {}, &tape);  // (T, H)

  const View d_hidden =
      backward ? network.backend->allocate(arena_, hidden.rows, hidden.cols) : View();
  losses_.assign(m.data.targets.ids.size(), 0);
  const Arena::Mark mark = arena_.mark();
  if (!backward) best_.assign(losses_.size(), 0);
  language_model_loss(trained, hidden, m.data.targets, m.scale, arena_, losses_,
                      backward ? std::span<uint8_t>() : best_, d_hidden,
                      backward ? &gradients_ : nullptr);
  arena_.release_to(mark);
  if (backward) {
    backbone_backward(trained, m.data.batch, tape, d_hidden, arena_, &gradients_);
  }
  double sum = 0;
  for (const double loss : losses_) sum += loss;
  return m.scale * sum;
}

double GradientPass::run(const TrainedNetwork& trained, std::span<const Microbatch> step,
                         const PassOptions& options) {
  std::memset(gradients_.data->data(), 0, gradients_.data->size());
  double loss = 0;
  for (const Microbatch& m : step) loss += run_one(trained, m, options, true);
  return loss;
}

GradientPass::Evaluation GradientPass::evaluate(const TrainedNetwork& trained,
                                                std::span<const Microbatch> step) {
  Evaluation result;
  int64_t targets = 0, right = 0;
  for (const Microbatch& m : step) {
    result.loss += run_one(trained, m, {.attention_out_dropout = 0, .recompute = true}, false);
    targets += static_cast<int64_t>(best_.size());
    right += std::count(best_.begin(), best_.end(), 1);
  }
  if (targets > 0) result.accuracy = static_cast<double>(right) / static_cast<double>(targets);
  return result;
}

}  // namespace ettin
