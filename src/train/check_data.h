// What can be wrong with a run's data, found before its first step.
#pragma once

#include <string>
#include <vector>

#include "ettin/status.h"
#include "train/recipe.h"

namespace ettin {

// Reads the folders of all phases and of the validation, as `ettin data verify` does: hashes that
// the indexes state, what shards say about themselves, every value, every id below the vocabulary.
// The first damage is the error; it names key and file. Folders beyond the first 2 GiB of shards
// are only looked at as they are fed; the answer says which, for people.
Result<std::vector<std::string>> check_data(const Recipe& recipe);

}  // namespace ettin
