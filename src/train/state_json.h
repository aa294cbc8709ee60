// training_state.json: TrainState, exactly, and whom it belongs to.
#pragma once

#include <string>
#include <string_view>

#include "train/checkpoint.h"

namespace ettin {

std::string state_to_json(const CheckpointIdentity& identity, const TrainState& state);

struct StateFile {
  std::string arm, recipe_hash;
  TrainState state;
};

// `where` names the file in messages.
Result<StateFile> state_from_json(std::string_view text, std::string_view where);

}  // namespace ettin
