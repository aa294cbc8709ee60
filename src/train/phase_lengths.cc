#include "train/phase_lengths.h"

#include <algorithm>

#include "base/file.h"
#include "data/data_order.h"
#include "train/phase_data.h"

namespace ettin {
namespace {

constexpr int64_t kMostSequences = 100'000;

bool data_is_there(const PhaseRecipe& phase) {
  return !phase.data.empty() &&
         std::all_of(phase.data.begin(), phase.data.end(),
                     [](const auto& s) { return file_exists(join_path(s.path, "index.json")); });
}

}  // namespace

Result<std::vector<PhaseLengths>> measure_lengths(const Recipe& recipe) {
  std::vector<PhaseLengths> lengths(recipe.phases.size());
  for (size_t i = 0; i < recipe.phases.size(); ++i) {
    const PhaseRecipe& p = recipe.phases[i];
    if (!data_is_there(p)) continue;
    // Marks that a loader puts at the ends of foreign data are not counted.
    ETTIN_ASSIGN_OR_RETURN(const PhaseData data,
                           PhaseData::open(recipe, static_cast<int64_t>(i), {}, SequenceEnds()));
    DataOrder order(recipe.shuffle_seed, data.size(), p.batch_sequences);
    int64_t tokens = 0, sequences = 0, microbatch = 0;
    // Whole steps, as the trainer ends a phase.
    while ((sequences < kMostSequences && tokens < p.tokens) ||
           sequences % p.batch_sequences != 0) {
      ETTIN_ASSIGN_OR_RETURN(const std::vector<int32_t> ids,
                             data.dataset().sequence(order.at(sequences), p.max_length));
      const auto length = static_cast<int64_t>(ids.size());
      tokens += length;
      microbatch = sequences % p.microbatch_sequences == 0 ? length : microbatch + length;
      lengths[i].largest_microbatch = std::max(lengths[i].largest_microbatch, microbatch);
      ++sequences;
    }
    lengths[i].mean = static_cast<double>(tokens) / static_cast<double>(sequences);
  }
  return lengths;
}

}  // namespace ettin
