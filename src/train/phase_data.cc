#include "train/phase_data.h"

#include <algorithm>
#include <map>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "train/data_log.h"

namespace ettin {

Result<PhaseData> PhaseData::open(const Recipe& recipe, int64_t phase, ObjectiveRule rule,
                                  SequenceEnds ends) {
  const PhaseRecipe& p = recipe.phases[static_cast<size_t>(phase)];
  std::vector<DatasetPart> parts;
  for (const DataSource& source : p.data) parts.push_back({source.path, source.weight});
  Result<TokenDataset> dataset = TokenDataset::open(parts, ends, recipe.model.vocab_size);
  if (!dataset.ok()) return dataset.status().with_context(fmt::format("phases.{}.data", p.name));
  if (dataset->size() < p.batch_sequences) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("phases.{}: the data has {} sequences, a step needs {}", p.name,
                              dataset->size(), p.batch_sequences),
                  "give it more data, or set batch_sequences lower");
  }
  rule.masking.rate = p.mask_rate;
  return PhaseData(recipe, phase, rule, std::make_shared<TokenDataset>(*std::move(dataset)));
}

PhaseData::PhaseData(const Recipe& recipe, int64_t phase, ObjectiveRule rule,
                     std::shared_ptr<const TokenDataset> dataset)
    : dataset_(std::move(dataset)),
      order_(recipe.shuffle_seed, dataset_->size(),
             recipe.phases[static_cast<size_t>(phase)].batch_sequences),
      rule_(rule),
      seed_(recipe.seed),
      phase_(phase),
      max_length_(recipe.phases[static_cast<size_t>(phase)].max_length),
      microbatch_(recipe.phases[static_cast<size_t>(phase)].microbatch_sequences),
      loss_norm_(recipe.loss_norm),
      layout_{std::max<int64_t>(1, recipe.virtual_ranks),
              recipe.phases[static_cast<size_t>(phase)].virtual_microbatch > 0
                  ? recipe.phases[static_cast<size_t>(phase)].virtual_microbatch
                  : microbatch_} {}

std::vector<PhaseData::Cut> PhaseData::cut(int64_t sequences) const {
  std::map<int64_t, std::vector<int64_t>> groups;
  for (int64_t i = 0; i < sequences; ++i) {
    int64_t group = 0;
    if (loss_norm_ == LossNorm::microbatch_mean) {
      const int64_t rank = i % layout_.ranks, of_rank = i / layout_.ranks;
      group = of_rank / layout_.microbatch * layout_.ranks + rank;
    }
    groups[group].push_back(i);
  }
  std::vector<Cut> cuts;
  for (const auto& [group, slots] : groups) {
    for (size_t at = 0; at < slots.size(); at += static_cast<size_t>(microbatch_)) {
      const size_t end = std::min(slots.size(), at + static_cast<size_t>(microbatch_));
      cuts.push_back({{slots.begin() + static_cast<ptrdiff_t>(at),
                       slots.begin() + static_cast<ptrdiff_t>(end)},
                      group});
    }
  }
  return cuts;
}

Result<StepData> PhaseData::step(int64_t cursor, int64_t sequences) {
  StepData step;
  step.sequences = sequences;
  step.first = cursor;
  step.epoch = order_.epoch_of(cursor);
  std::vector<std::vector<int32_t>> ids(static_cast<size_t>(sequences));
  std::vector<FedSequence> fed(ids.size());
  std::vector<SequenceKey> keys(ids.size());
  for (int64_t i = 0; i < sequences; ++i) {
    const auto slot = static_cast<size_t>(i);
    const int64_t index = order_.at(cursor + i);
    ETTIN_ASSIGN_OR_RETURN(ids[slot], dataset_->sequence(index, max_length_));
    fed[slot] = {index, ids[slot]};
    keys[slot] = {seed_, phase_, order_.epoch_of(cursor + i), index};
    step.tokens += static_cast<int64_t>(ids[slot].size());
  }
  step.batch_hash = hash_batch(fed);

  const std::vector<Cut> cuts = cut(sequences);
  std::map<int64_t, std::pair<int64_t, int64_t>> of_group;  // sequences, targets
  for (const Cut& c : cuts) {
    Microbatch m;
    for (const int64_t i : c.slots) {
      const auto slot = static_cast<size_t>(i);
      append_sequence(rule_, keys[slot], ids[slot], &m.data);
    }
    const auto targets = static_cast<int64_t>(m.data.targets.ids.size());
    of_group[c.group].first += static_cast<int64_t>(c.slots.size());
    of_group[c.group].second += targets;
    step.targets += targets;
    step.microbatches.push_back(std::move(m));
  }
  // A token mean has one group. A group without targets adds nothing.
  for (size_t m = 0; m < cuts.size(); ++m) {
    const auto [of_all, targets] = of_group[cuts[m].group];
    if (targets == 0) continue;
    step.microbatches[m].scale =
        static_cast<double>(of_all) / static_cast<double>(sequences) / static_cast<double>(targets);
  }
  return step;
}

}  // namespace ettin
