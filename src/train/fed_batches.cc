#include "train/fed_batches.h"

#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "train/objective.h"
#include "train/run_folder.h"

namespace ettin {
namespace {

// More than any step has: what a log says is not believed.
constexpr int64_t kMostSequences = int64_t{1} << 24;

Status bad_entry(const std::string& where, const DataLogEntry& entry, std::string_view why) {
  return Status(StatusCode::bad_data,
                fmt::format("{}: data_log.csv: step {}: {}", where, entry.step, why),
                "the log was not written with this recipe.yaml: restore both from a copy");
}

}  // namespace

Result<FedBatches> FedBatches::open(const std::string& run_folder) {
  ETTIN_ASSIGN_OR_RETURN(Recipe recipe, read_recipe(join_path(run_folder, kRecipeFile), {}));
  ETTIN_ASSIGN_OR_RETURN(auto tokenizer, Tokenizer::load(recipe.tokenizer));
  return FedBatches(std::move(recipe), std::move(tokenizer), run_folder);
}

FedBatches::FedBatches(Recipe recipe, std::shared_ptr<const Tokenizer> tokenizer, std::string where)
    : recipe_(std::move(recipe)), tokenizer_(std::move(tokenizer)), where_(std::move(where)) {}

Result<FedBatches::Phase*> FedBatches::phase_of(const DataLogEntry& entry) {
  if (entry.phase >= static_cast<int64_t>(recipe_.phases.size())) {
    return bad_entry(where_, entry,
                     fmt::format("phase {} of {}", entry.phase + 1, recipe_.phases.size()));
  }
  std::unique_ptr<Phase>& phase = phases_[entry.phase];
  if (phase != nullptr) return phase.get();
  const PhaseRecipe& recipe = recipe_.phases[static_cast<size_t>(entry.phase)];
  std::vector<DatasetPart> parts;
  for (const DataSource& source : recipe.data) parts.push_back({source.path, source.weight});
  ETTIN_ASSIGN_OR_RETURN(TokenDataset dataset, TokenDataset::open(parts, sequence_ends(*tokenizer_),
                                                                  recipe_.model.vocab_size));
  const int64_t n = dataset.size(), batch = recipe.batch_sequences;
  if (batch < 1 || batch > n || n > INT64_C(0xffffffff)) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: phase {}: {} sequences do not fill a batch of {}", where_,
                              recipe.name, n, batch),
                  "the data are not those of the run: bring them back to where recipe.yaml says");
  }
  phase =
      std::make_unique<Phase>(Phase{std::move(dataset), DataOrder(recipe_.shuffle_seed, n, batch)});
  return phase.get();
}

Result<std::vector<FedAgain>> FedBatches::batch(const DataLogEntry& entry) {
  ETTIN_ASSIGN_OR_RETURN(Phase * phase, phase_of(entry));
  if (entry.sequences > kMostSequences || entry.first > (int64_t{1} << 60)) {
    return bad_entry(where_, entry,
                     fmt::format("{} sequences from {} on", entry.sequences, entry.first));
  }
  const int64_t max_length = recipe_.phases[static_cast<size_t>(entry.phase)].max_length;
  std::vector<FedAgain> batch;
  std::vector<FedSequence> fed;
  for (int64_t i = 0; i < entry.sequences; ++i) {
    FedAgain one;
    one.index = phase->order.at(entry.first + i);
    one.epoch = phase->order.epoch_of(entry.first + i);
    one.origin = phase->dataset.origin(one.index);
    ETTIN_ASSIGN_OR_RETURN(one.ids, phase->dataset.sequence(one.index, max_length));
    batch.push_back(std::move(one));
  }
  for (const FedAgain& one : batch) fed.push_back({one.index, one.ids});
  if (hash_batch(fed) == entry.batch_hash) return batch;
  return Status(StatusCode::bad_data,
                fmt::format("{}: step {}: the data that recipe.yaml names have other tokens now "
                            "than the run was fed",
                            where_, entry.step),
                "bring the run's data back to where recipe.yaml says");
}

Result<Example> FedBatches::example(const DataLogEntry& entry, const FedAgain& sequence,
                                    const Arm& arm) const {
  ETTIN_ASSIGN_OR_RETURN(ObjectiveRule rule, objective_rule(recipe_, arm, *tokenizer_));
  rule.masking.rate = recipe_.phases[static_cast<size_t>(entry.phase)].mask_rate;
  Example example;
  example.inputs = sequence.ids;
  if (arm == kEncoder) {
    const SequenceKey key{recipe_.seed, entry.phase, sequence.epoch, sequence.index};
    mask_tokens(key, rule.masking, example.inputs, &example.positions, &example.targets);
    return example;
  }
  for (size_t t = 1; t < sequence.ids.size(); ++t) {
    example.positions.push_back(static_cast<int64_t>(t));
    example.targets.push_back(sequence.ids[t]);
  }
  return example;
}

}  // namespace ettin
