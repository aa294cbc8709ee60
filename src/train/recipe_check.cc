#include "train/recipe_check.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>

#include "base/file.h"
#include "base/suggest.h"

namespace ettin {
namespace {

constexpr size_t kMostPhases = 64;

// Errors that name the deepest place of a key that is written somewhere.
class Checker {
 public:
  Checker(const YamlNode& tree, const std::string& path) : tree_(tree), path_(path) {}

  void require(bool fine, std::string_view key, std::string what, std::string hint) {
    if (fine || !status_.ok()) return;
    status_ = Status(StatusCode::bad_data, fmt::format("{}: {}: {}", where(key), key, what),
                     std::move(hint));
  }
  const Status& status() const { return status_; }

 private:
  std::string where(std::string_view key) const {
    const YamlNode* node = &tree_;
    std::string place = path_;
    while (node != nullptr && !key.empty()) {
      const size_t dot = std::min(key.find('.'), key.size());
      node = node->find(key.substr(0, dot));
      key.remove_prefix(std::min(dot + 1, key.size()));
      if (node != nullptr && node->source) place = node->where();
    }
    return place;
  }

  const YamlNode& tree_;
  std::string path_;
  Status status_;
};

// A name that can stand in --set phases.NAME and in the name of a folder.
bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name != "null" && name != "Null" && name != "NULL" &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '-' || c == '_';
         });
}

void check_model(const ModelConfig& m, const ModelLayout& layout, Checker* c) {
  c->require(m.hidden_size % m.num_heads == 0, "model.hidden_size",
             fmt::format("{} does not divide by the {} heads", m.hidden_size, m.num_heads),
             "Ettin's heads have 64 elements: num_attention_heads = hidden_size / 64");
  c->require(m.head_dim() % 2 == 0, "model.num_attention_heads",
             fmt::format("heads of {} elements cannot be rotated", m.head_dim()),
             "the size of a head, hidden_size / num_attention_heads, is even");
  c->require(layout.local_attention % 2 == 0, "model.local_attention",
             fmt::format("{} is odd", layout.local_attention),
             "half of it is seen on each side: 128 is 64 and 64");
}

void check_phase(const Recipe& recipe, const PhaseRecipe& p, Checker* c) {
  const std::string at = fmt::format("phases.{}.", p.name);
  const Schedule& s = p.schedule;
  c->require(is_name(p.name), fmt::format("phases.{}", p.name), "this is no name for a phase",
             "use letters, digits, - and _");
  c->require(is_name(p.tag) && !(p.tag.back() >= '0' && p.tag.back() <= '9'), at + "tag",
             fmt::format("\"{}\" is no name for checkpoints", p.tag),
             "use letters, - and _: the number of the step follows it");
  c->require(p.batch_sequences % p.microbatch_sequences == 0, at + "microbatch_sequences",
             fmt::format("{} does not divide batch_sequences {}", p.microbatch_sequences,
                         p.batch_sequences),
             "set it to a divisor; a smaller one needs less memory");
  c->require(
      s.warmup_tokens <= p.tokens, at + "schedule.warmup_tokens",
      fmt::format("the warm-up takes {} of the phase's {} tokens", s.warmup_tokens, p.tokens),
      "lower it, or write a share such as 5%");
  c->require(s.decay_tokens <= p.tokens - s.warmup_tokens, at + "schedule.decay_tokens",
             fmt::format("the decay takes {} of the {} tokens after the warm-up", s.decay_tokens,
                         p.tokens - s.warmup_tokens),
             "lower it, or write a share such as 90%");
  c->require((s.decay == ScheduleKind::constant) == (s.decay_tokens == 0),
             at + "schedule.decay_tokens",
             s.decay_tokens == 0 ? "the decay has no tokens" : "a constant rate has no decay",
             "set decay and decay_tokens together: one_minus_sqrt and 100%, or constant and 0");
  c->require(p.max_length <= recipe.model.max_positions, at + "max_length",
             fmt::format("{} is above model.max_position_embeddings {}", p.max_length,
                         recipe.model.max_positions),
             "raise max_position_embeddings; it costs nothing");
  c->require((p.batch_warmup_tokens > 0) == (p.batch_warmup_from > 0), at + "batch_warmup_from",
             "a batch-size warm-up needs batch_warmup_from and batch_warmup_tokens",
             "set both, or neither");
  if (p.batch_warmup_tokens > 0) {
    c->require(p.batch_warmup_from % p.microbatch_sequences == 0 &&
                   p.batch_warmup_from < p.batch_sequences,
               at + "batch_warmup_from",
               fmt::format("{} is no multiple of the microbatch {} below batch_sequences {}",
                           p.batch_warmup_from, p.microbatch_sequences, p.batch_sequences),
               "it grows by one microbatch at a time");
    c->require(recipe.loss_norm == LossNorm::token_mean, at + "batch_warmup_tokens",
               "microbatch_mean has one layout, a batch that grows has many",
               "set loss_norm: token_mean, or batch_warmup_tokens: 0");
  }
  if (recipe.loss_norm == LossNorm::microbatch_mean) {
    const int64_t ranks = std::max<int64_t>(1, recipe.virtual_ranks);
    const int64_t unit = p.virtual_microbatch > 0 ? p.virtual_microbatch : p.microbatch_sequences;
    c->require(p.batch_sequences % (ranks * unit) == 0, at + "virtual_microbatch",
               fmt::format("{} ranks of microbatches of {} do not make up {} sequences", ranks,
                           unit, p.batch_sequences),
               "batch_sequences is a multiple of virtual_ranks times virtual_microbatch");
  }
}

void check_arms(const Recipe& recipe, Checker* c) {
  std::vector<std::string_view> names;
  for (const PhaseRecipe& p : recipe.phases) names.push_back(p.name);
  const auto check = [&](std::string_view arm, const ArmRecipe& own) {
    for (const ArmPhaseRecipe& p : own.phases) {
      const auto near = closest(p.name, names);
      c->require(std::find(names.begin(), names.end(), p.name) != names.end(),
                 fmt::format("arms.{}.phases.{}", arm, p.name), "the recipe has no such phase",
                 near ? fmt::format("did you mean {}?", *near)
                      : fmt::format("its phases are {}", fmt::join(names, ", ")));
    }
  };
  check("encoder", recipe.encoder);
  check("decoder", recipe.decoder);
}

Status need_file(const std::string& folder, std::string_view name, std::string_view key) {
  if (file_exists(join_path(folder, name))) return {};
  return Status(StatusCode::not_found, fmt::format("{}: {} has no {}", key, folder, name),
                fmt::format("set it with --set {}=FOLDER", key));
}

}  // namespace

ModelLayout layout_of(const ModelConfig& model) {
  ModelLayout layout;
  layout.local_attention = 2 * model.window_each_side;
  layout.global_every = model.num_layers;  // the first layer alone
  for (int64_t i = 1; i < model.num_layers; ++i) {
    if (!model.layer_is_global[static_cast<size_t>(i)]) continue;
    layout.global_every = i;
    break;
  }
  return layout;
}

Status complete_recipe(const YamlNode& tree, const std::string& path, const ModelLayout& layout,
                       Recipe* recipe) {
  Checker c(tree, path);
  ModelConfig& m = recipe->model;
  m.window_each_side = layout.local_attention / 2;
  for (int64_t i = 0; i < m.num_layers; ++i) {
    m.layer_is_global.push_back(i % layout.global_every == 0);
  }
  m.labels = {"LABEL_0", "LABEL_1"};
  c.require(!recipe->phases.empty(), "phases", "there is none",
            "add at least one; recipes/toy.yaml is a short example");
  c.require(recipe->phases.size() <= kMostPhases, "phases",
            fmt::format("there are more than {}", kMostPhases), {});
  const bool positions_given = m.max_positions > 0;
  for (PhaseRecipe& p : recipe->phases) {
    if (p.tag.empty()) p.tag = p.name;
    if (p.microbatch_sequences == 0) p.microbatch_sequences = p.batch_sequences;
    if (!positions_given) m.max_positions = std::max(m.max_positions, p.max_length);
  }
  check_model(m, layout, &c);
  std::set<std::string> tags;
  for (const PhaseRecipe& p : recipe->phases) {
    check_phase(*recipe, p, &c);
    c.require(tags.insert(p.tag).second, fmt::format("phases.{}.tag", p.name),
              fmt::format("an earlier phase has the tag \"{}\" too", p.tag),
              "checkpoints are named after it: give each phase its own");
  }
  check_arms(*recipe, &c);
  c.require(recipe->spike_factor == 0 || recipe->spike_factor > 1, "spike_factor",
            fmt::format("{} would leave out ordinary steps", recipe->spike_factor),
            "it is a multiple of the median gradient norm, such as 10; 0 turns it off");
  return c.status();
}

Status check_inputs(const Recipe& recipe, Arm arm) {
  const Recipe own = arm_recipe(recipe, arm);
  for (const PhaseRecipe& p : own.phases) {
    const std::string key = fmt::format("phases.{}.data", p.name);
    if (p.data.empty()) {
      return Status(StatusCode::not_found, fmt::format("{}: no data is named", key),
                    fmt::format("set it with --set {}=FOLDER, a folder of shards with index.json;"
                                " --set phases.*.data=FOLDER sets it for all phases",
                                key));
    }
    for (const DataSource& s : p.data) ETTIN_RETURN_IF_ERROR(need_file(s.path, "index.json", key));
  }
  for (const DataSource& s : own.validation.data) {
    ETTIN_RETURN_IF_ERROR(need_file(s.path, "index.json", "validation.data"));
  }
  if (own.tokenizer.empty()) {
    return Status(StatusCode::not_found, "tokenizer: none is named",
                  "set it with --set tokenizer=FOLDER, the folder of tokenizer.json");
  }
  ETTIN_RETURN_IF_ERROR(need_file(own.tokenizer, "tokenizer.json", "tokenizer"));
  const std::string key = fmt::format("arms.{}.init_from", arm.name);
  if (own.init_from.empty() && own.phases[0].fresh_optimizer) {
    return Status(StatusCode::not_found,
                  fmt::format("{}: phase {} goes on from trained weights, and none are named", key,
                              own.phases[0].name),
                  fmt::format("set it with --set {}=FOLDER", key));
  }
  if (!own.init_from.empty() && !directory_exists(own.init_from)) {
    return Status(StatusCode::not_found, fmt::format("{}: no folder {}", key, own.init_from),
                  fmt::format("set it with --set {}=FOLDER", key));
  }
  return {};
}

}  // namespace ettin
