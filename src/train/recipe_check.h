// What a recipe's keys say together: values that follow from others, and contradictions.
#pragma once

#include <string>

#include "train/recipe_schema.h"
#include "train/yaml.h"

namespace ettin {

// Fills in what was left out (microbatches, tags, layers, positions), then refuses what no run
// could follow. `tree` is what the recipe was read from, for places in messages; `path` its file.
Status complete_recipe(const YamlNode& tree, const std::string& path, const ModelLayout& layout,
                       Recipe* recipe);

// The layout that complete_recipe made the model's layers of.
ModelLayout layout_of(const ModelConfig& model);

}  // namespace ettin
