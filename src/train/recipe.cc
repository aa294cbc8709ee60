#include "train/recipe.h"

#include <algorithm>
#include <filesystem>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/suggest.h"
#include "train/recipe_check.h"
#include "train/recipe_reader.h"
#include "train/yaml.h"

namespace ettin {
namespace {

constexpr size_t kMostExtends = 8;

// A recipe file over all that it extends; `chain` collects their paths, the first one asked for in
// front.
Result<YamlNode> read_extended(const std::string& path, std::vector<std::string>* chain) {
  std::error_code ignored;  // a path that cannot be resolved is compared as it is written
  const auto resolved = std::filesystem::weakly_canonical(path, ignored).string();
  const std::string canonical = resolved.empty() ? path : resolved;
  if (std::find(chain->begin(), chain->end(), canonical) != chain->end()) {
    return Status(StatusCode::bad_data, fmt::format("{}: extends itself", path),
                  fmt::format("remove one `extends` of {}", fmt::join(*chain, " -> ")));
  }
  if (chain->size() >= kMostExtends) {
    return Status(StatusCode::resource_limit,
                  fmt::format("{}: more than {} files extend each other", path, kMostExtends));
  }
  chain->push_back(canonical);
  ETTIN_ASSIGN_OR_RETURN(YamlNode node, read_yaml(path));
  if (node.is_null()) node.kind = YamlNode::Kind::mapping;
  const YamlNode* const extends = node.find("extends");
  if (extends == nullptr) return node;
  if (!extends->is_scalar() || extends->scalar.empty()) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: extends: should be the path of a recipe", extends->where()));
  }
  const auto base_path = std::filesystem::path(node.source->folder) / extends->scalar;
  Result<YamlNode> base = read_extended(base_path.lexically_normal().string(), chain);
  if (!base.ok()) return base.status().with_context(fmt::format("{}: extends", extends->where()));
  std::erase_if(node.members, [](const auto& member) { return member.first == "extends"; });
  overlay_yaml(std::move(node), &*base);
  return base;
}

// The file of a preset: a path, or NAME.yaml beside one of the recipe's files. Empty: none.
std::string preset_file(const std::string& name, const std::vector<std::string>& chain) {
  if (name.find('/') != std::string::npos || name.ends_with(".yaml")) return name;
  for (const std::string& file : chain) {
    const auto path = std::filesystem::path(file).parent_path() / (name + ".yaml");
    if (file_exists(path.string())) return path.string();
  }
  return {};
}

Status add_preset(const std::string& name, const std::vector<std::string>& chain,
                  const YamlNode& sections, YamlNode* tree) {
  const std::string file = preset_file(name, chain);
  const std::string stem = std::filesystem::path(name).stem().string();
  const YamlNode* const section = sections.find(stem);
  if (file.empty() && section == nullptr) {
    std::vector<std::string_view> known{"faithful-run", "faithful-paper", "cross"};
    for (const auto& [key, node] : sections.members) known.push_back(key);
    const auto near = closest(name, known);
    return Status(StatusCode::not_found, fmt::format("--preset {}: there is no such preset", name),
                  near ? fmt::format("did you mean {}?", *near)
                       : "a preset is a file NAME.yaml beside the recipe, or a path");
  }
  if (!file.empty()) {
    std::vector<std::string> own_chain;
    ETTIN_ASSIGN_OR_RETURN(YamlNode overlay, read_extended(file, &own_chain));
    overlay_yaml(std::move(overlay), tree);
  }
  if (section != nullptr && !section->is_null()) overlay_yaml(*section, tree);
  return {};
}

// "a.b.c=value" as a tree of one value per phase that `*` stands for, put over `tree`.
Status add_setting(const std::string& setting, YamlNode* tree) {
  const size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("--set {}: should be key.path=value", setting),
                  "for example --set phases.pretrain.tokens=1B");
  }
  const std::string key = setting.substr(0, equals);
  const auto source = std::make_shared<YamlSource>(YamlSource{fmt::format("--set {}", key), "."});
  ETTIN_ASSIGN_OR_RETURN(YamlNode value, parse_yaml(setting.substr(equals + 1), source));
  value.line = 0;
  std::vector<std::string> parts{""};
  for (const char c : key) {
    if (c == '.') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (parts.size() > kMostYamlDepth || std::find(parts.begin(), parts.end(), "") != parts.end()) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("--set {}: is not a path of keys", setting),
                  "names are joined by single dots");
  }
  std::vector<std::string> phases;
  if (const YamlNode* const node = tree->find("phases")) {
    for (const auto& [name, phase] : node->members) phases.push_back(name);
  }
  std::vector<std::string> targets{parts.size() > 1 ? parts[1] : ""};
  if (parts[0] == "phases" && parts.size() > 1) {
    if (parts[1] == "*") {
      targets = phases;
    } else if (std::find(phases.begin(), phases.end(), parts[1]) == phases.end()) {
      const auto near = closest(parts[1], {phases.begin(), phases.end()});
      return Status(StatusCode::invalid_argument,
                    fmt::format("--set {}: the recipe has no phase {}", setting, parts[1]),
                    near ? fmt::format("did you mean {}?", *near)
                         : fmt::format("its phases are {}", fmt::join(phases, ", ")));
    }
  }
  for (const std::string& target : targets) {
    if (parts.size() > 1) parts[1] = target;
    YamlNode node = value;
    for (size_t i = parts.size(); i-- > 0;) {
      YamlNode parent;
      parent.kind = YamlNode::Kind::mapping;
      parent.source = source;
      parent.members.emplace_back(parts[i], std::move(node));
      node = std::move(parent);
    }
    overlay_yaml(std::move(node), tree);
  }
  return {};
}

}  // namespace

Result<Recipe> read_recipe(const std::string& path, std::span<const std::string> settings,
                           std::span<const std::string> presets) {
  std::vector<std::string> chain;
  ETTIN_ASSIGN_OR_RETURN(YamlNode tree, read_extended(path, &chain));
  YamlNode sections;
  if (const YamlNode* const found = tree.find("presets")) sections = *found;
  for (const std::string& preset : presets) {
    ETTIN_RETURN_IF_ERROR(add_preset(preset, chain, sections, &tree));
  }
  std::erase_if(tree.members, [](const auto& member) { return member.first == "presets"; });
  for (const std::string& setting : settings) {
    ETTIN_RETURN_IF_ERROR(add_setting(setting, &tree));
  }

  Recipe recipe;
  recipe.name = std::filesystem::path(path).stem().string();
  // What training has, where inference of published files has one key less (training.md 6).
  recipe.model.causal_window_keys = 65;
  ModelLayout layout;
  RecipeReader reader(tree, "", path);
  visit_recipe(reader, recipe, layout);
  ETTIN_RETURN_IF_ERROR(reader.finish());
  ETTIN_RETURN_IF_ERROR(complete_recipe(tree, path, layout, &recipe));
  return recipe;
}

Recipe arm_recipe(const Recipe& recipe, Arm arm) {
  Recipe of_arm = recipe;
  const ArmRecipe& own = arm == kDecoder ? recipe.decoder : recipe.encoder;
  if (!own.init_from.empty()) of_arm.init_from = own.init_from;
  for (const ArmPhaseRecipe& change : own.phases) {
    for (PhaseRecipe& phase : of_arm.phases) {
      if (phase.name != change.name) continue;
      phase.global_rope_theta = change.global_rope_theta.value_or(phase.global_rope_theta);
      phase.local_rope_theta = change.local_rope_theta.value_or(phase.local_rope_theta);
    }
  }
  of_arm.encoder = of_arm.decoder = ArmRecipe();
  return of_arm;
}

ModelConfig phase_model(const Recipe& recipe, size_t phase, Arm arm) {
  const PhaseRecipe p = arm_recipe(recipe, arm).phases[phase];
  ModelConfig config = recipe.model;
  config.arm = arm;
  config.global_rope_theta = p.global_rope_theta;
  config.local_rope_theta = p.local_rope_theta;
  config.rope_reason = fmt::format("recipe: phase {}", p.name);
  return config;
}

double weight_decay_peak(const Recipe& recipe, size_t phase) {
  double peak = recipe.optimizer.learning_rate;
  for (size_t i = 0; i <= phase; ++i) {
    if (recipe.phases[i].fresh_optimizer) peak = recipe.phases[i].learning_rate;
  }
  return peak;
}

}  // namespace ettin
