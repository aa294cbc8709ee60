// What a run fed, made again from its data: any step of the past, checked against the log.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "data/data_order.h"
#include "data/token_dataset.h"
#include "ettin/status.h"
#include "model/arm.h"
#include "text/tokenizer.h"
#include "train/data_log.h"
#include "train/recipe.h"

namespace ettin {

struct FedAgain {
  int64_t index = 0, epoch = 0;  // number of the sequence in its data set; of its pass over it
  std::string origin;            // for people
  std::vector<int32_t> ids;      // as fed, before masking
};

// A sequence as an arm's objective made it an example.
struct Example {
  std::vector<int32_t> inputs;
  // Positions whose token the network had to predict, and the tokens that were there. A decoder's
  // are all but the first; position p is predicted in row p - 1 there.
  std::vector<int64_t> positions;
  std::vector<int32_t> targets;
};

// Not thread-safe: keeps what it opened of each phase.
class FedBatches {
 public:
  // Of a folder with recipe.yaml; the data are opened when a batch of their phase is asked for.
  static Result<FedBatches> open(const std::string& run_folder);
  // For a recipe that is at hand. `where` names the run in messages.
  FedBatches(Recipe recipe, std::shared_ptr<const Tokenizer> tokenizer, std::string where);

  // The sequences of a step; an error when they are not those whose hash the log has.
  Result<std::vector<FedAgain>> batch(const DataLogEntry& entry);
  Result<Example> example(const DataLogEntry& entry, const FedAgain& sequence,
                          const Arm& arm) const;

  const Recipe& recipe() const { return recipe_; }
  const Tokenizer& tokenizer() const { return *tokenizer_; }

 private:
  struct Phase {
    TokenDataset dataset;
    DataOrder order;
  };
  Result<Phase*> phase_of(const DataLogEntry& entry);

  Recipe recipe_;
  std::shared_ptr<const Tokenizer> tokenizer_;
  std::string where_;
  std::map<int64_t, std::unique_ptr<Phase>> phases_;
};

}  // namespace ettin
