// The options that choose a model and how it is computed, and the embedded models.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "console.h"
#include "ettin/ettin.h"
#include "flags.h"

namespace ettin::cli {

inline constexpr std::string_view kDefaultEncoder = "ettin-nano-encoder";
inline constexpr std::string_view kDefaultDecoder = "ettin-nano-decoder";

// The folder of a model, or a training checkpoint: `model` itself when it is one, else a model of
// that name in ETTIN_MODELS, beside the installed program, or in the source tree; else a model of
// the hub, which is fetched when the cache lacks it. `how` says which of its files are needed.
Result<std::string> find_model(Console& console, const std::string& model,
                               const ModelOptions& how = {});

struct ModelFlags {
  std::string model;  // empty: the command's default
  int threads = 0;
  std::string dtype = "auto";
  bool exact_activations = false;
  bool expand_weights = false;
  std::string int8_scales = "token";
  std::string backend = "cpu";
  std::optional<int64_t> causal_window_keys;
  std::optional<double> global_rope_theta, local_rope_theta;
  std::string decoder_template = "bos";
  bool allow_extra_tensors = false;
  bool keep_packed = false;
  bool offline = false;

  // `standard` names the embedded model used without --model.
  void add_to(Flags& flags, std::string_view standard);
  // Only what says how to compute, for commands that choose the model otherwise.
  void add_compute_to(Flags& flags);
  // Only the rope thetas.
  void add_thetas_to(Flags& flags);

  ModelOptions options() const;
  Result<Model> load(Console& console, std::string_view standard) const;
  // Without the weights: for commands that only turn texts into ids or ids into text.
  Result<Model> load_tokenizer(Console& console, std::string_view standard) const;

 private:
  Result<Model> load(Console& console, std::string_view standard, const ModelOptions& how) const;
};

}  // namespace ettin::cli
