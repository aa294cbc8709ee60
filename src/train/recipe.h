// A recipe: everything that decides what a training run computes, read from YAML. The same recipe
// trains both arms of a pair; which one is asked for beside it.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ettin/status.h"
#include "model/config.h"

namespace ettin {

// The learning rate as a factor m(t) of the phase's peak, t = tokens of the phase consumed before
// the step. Formulas: reference of each kind in train/schedule.h.
enum class ScheduleKind : uint8_t { constant, linear, cosine, one_minus_sqrt };
struct Schedule {
  ScheduleKind decay = ScheduleKind::constant;  // the curve of the last `decay_tokens`
  int64_t warmup_tokens = 0;                    // linear from about 0, before everything else
  int64_t decay_tokens = 0;                     // ends with the phase; at most its tokens
  double final_factor = 0;                      // m at the end of the decay (alpha_f)
};

enum class OptimizerKind : uint8_t { stable_adamw, adamw };
struct OptimizerRecipe {
  OptimizerKind kind = OptimizerKind::stable_adamw;
  double beta1 = 0.9, beta2 = 0.98, eps = 1e-6;
  double learning_rate = 0;  // the peak that weight decay refers to
  double weight_decay = 0;   // of matrices, per step at the peak: fully decoupled
  std::optional<double> clip_norm = std::nullopt;  // of the whole gradient; absent: none
};

// token_mean: over all targets of the step. microbatch_mean: the original trainer's mean of
// microbatch means, each weighted by its share of sequences.
enum class LossNorm : uint8_t { token_mean, microbatch_mean };

// What encoders predict at a masked position i: its token from position i (mlm), or from position
// i - 1 (mntp). Decoders predict the next token whatever this says.
enum class MaskedPrediction : uint8_t { mlm, mntp };

struct DataSource {
  std::string path;  // a folder with index.json
  double weight =
      1;  // how often each of its sequences occurs in an epoch: 1 once, 0.5 half of them
};

struct PhaseRecipe {
  std::string name;  // "pretrain", "extension", "decay"
  std::string tag;   // of its checkpoints: "step", "ext", "decay"
  std::vector<DataSource> data;
  int64_t max_length = 0;    // tokens of a sequence, longer ones are cut
  int64_t tokens = 0;        // the phase ends with the first step that reaches them
  double learning_rate = 0;  // its peak
  Schedule schedule;
  double mask_rate = 0.3;  // encoders
  double global_rope_theta = 10000, local_rope_theta = 10000;
  int64_t batch_sequences = 0;       // of a step
  int64_t microbatch_sequences = 0;  // of one pass; divides batch_sequences
  // Under microbatch_mean, in sequences, the microbatch of the layout that is imitated; 0:
  // microbatch_sequences.
  int64_t virtual_microbatch = 0;
  // Batch-size warm-up: from so many sequences to batch_sequences over so many tokens; 0: none.
  int64_t batch_warmup_from = 0, batch_warmup_tokens = 0;
  bool fresh_optimizer = false;   // cross-objective training starts so
  int64_t checkpoint_tokens = 0;  // a checkpoint each time so many were consumed; 0: only the last
};

struct ValidationRecipe {
  std::vector<DataSource> data;  // empty: no held-out evaluation
  int64_t every_tokens = 0;      // 0: at the end of each phase
  int64_t sequences = 256;       // the first so many of its fixed order
};

// Where one arm of the pair differs, besides direction and objective: all of it, and only here.
struct ArmPhaseRecipe {
  std::string name;  // of the phase
  std::optional<double> global_rope_theta = std::nullopt, local_rope_theta = std::nullopt;
};
struct ArmRecipe {
  std::string init_from;  // empty: the recipe's
  std::vector<ArmPhaseRecipe> phases;
};

struct Recipe {
  std::string name;
  std::string tokenizer;       // a folder with tokenizer.json, copied into each checkpoint
  std::string init_from;       // a model folder whose weights training starts from; empty: random
  ModelConfig model;           // thetas and arm are set per phase and run
  uint64_t seed = 21;          // initial weights, masks, dropout
  uint64_t shuffle_seed = 21;  // the order of the data
  OptimizerRecipe optimizer;
  LossNorm loss_norm = LossNorm::token_mean;
  // Under microbatch_mean: ranks of the layout that is imitated. 0: what runs.
  int64_t virtual_ranks = 0;
  MaskedPrediction masked_prediction = MaskedPrediction::mlm;
  double attention_out_dropout = 0.1;
  bool pad_row_quirk = false;               // row 0 of the embedding gets no gradient from lookups
  WeightFormat dtype = WeightFormat::bf16;  // of matrix products: f32 or bf16
  bool recompute = false;                   // layers are computed again in the backward pass
  int64_t keep_checkpoints = 0;             // newest so many besides each phase's last; 0: all
  bool stop_on_nonfinite = true;  // else a step whose loss or gradient is not finite is left out
  double spike_factor = 0;        // a step whose gradient norm is so many times the running median
                                  // is left out; 0: never
  std::vector<PhaseRecipe> phases;
  ValidationRecipe validation;
  ArmRecipe encoder, decoder;  // `arms` in the file

  // The recipe with every default written out, as canonical YAML: what a run stores. read_recipe
  // reads it back to the same.
  std::string to_yaml() const;

  // SHA-256, hex, of what decides a run's numbers: to_yaml() without names of folders, validation
  // and the keeping of checkpoints, so that a run may move and may be watched more closely.
  std::string identity() const;
};

// Reads a recipe file. `extends: FILE` (relative to it) is read first and overlaid. Then, in order:
// each of `presets`, a file NAME.yaml beside the recipe or beside what it extends, or a path, and
// after it the recipe's own section `presets: NAME:`; each of `settings`, "key.path=value",
// "phases.NAME.key=value" or, for all phases, "phases.*.key=value".
//
// Unknown keys are errors that suggest the nearest known one; every error names the file, the line
// and the key. Paths are relative to the file that names them, in settings to the working folder,
// and absolute in the result. Numbers of tokens take suffixes (4e9, 1.7T, 250B, 8M, 512k); those of
// a phase also a share of its tokens (100%), its learning rate a share of the optimiser's.
//
// What is returned is consistent (docs/recipes.md lists the checks); whether the folders it names
// exist is check_inputs' business, so that a run can be planned without its data.
Result<Recipe> read_recipe(const std::string& path, std::span<const std::string> settings,
                           std::span<const std::string> presets = {});

// That the folders exist which a run of this arm reads: the data of every phase and of validation
// (index.json), the tokenizer (tokenizer.json), init_from.
Status check_inputs(const Recipe& recipe, Arm arm);

// The recipe as this arm trains it: its differences applied, none left.
Recipe arm_recipe(const Recipe& recipe, Arm arm);

// The network of a phase: the recipe's model with the arm and the phase's thetas.
ModelConfig phase_model(const Recipe& recipe, size_t phase, Arm arm);

// What weight decay's share refers to in a phase: the peak that the optimiser was made with, which
// is optimizer.learning_rate or, from a phase with a fresh optimiser on, that phase's.
double weight_decay_peak(const Recipe& recipe, size_t phase);

}  // namespace ettin
