// Names of models on the hub: the family's own table, and names that a user writes.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct FamilyModel {
  std::string_view name;        // as the model card spells it, "ettin-encoder-from-decoder-32m"
  std::string_view repository;  // as the hub does, "jhu-clsp/ettin-enc-from-dec-32m"
};

// The 24 published models: two kinds and two made from the other kind, in six sizes.
std::span<const FamilyModel> family_models();

struct ModelName {
  std::string repository;  // "org/name"
  std::string revision = "main";

  bool operator==(const ModelName&) const = default;
};

// "org/name", a short name of the family, in either spelling and with or without "ettin-", each
// with
// "@revision" behind it or without. nullopt: not written like a name at all ("./x", "a/b/c").
// not_found: a short name that the family does not have; the hint names the nearest of the family's
// names and of `also_known`.
Result<std::optional<ModelName>> parse_model_name(
    std::string_view text, const std::vector<std::string_view>& also_known = {});

// A branch, tag or commit as Git allows it; "refs/pr/1" is one.
bool is_revision(std::string_view text);
// 40 lower-case hexadecimal digits.
bool is_commit(std::string_view text);

// The family's name nearest to a repository that the hub does not have.
std::optional<std::string> nearest_family_name(std::string_view repository);

}  // namespace ettin
