// Which phase of Ettin's training weights come from, as names say, and the rope thetas that the
// phase ran with. The published trail has a revision for each checkpoint, "step590532", "ext1000",
// "decay100"; config.json is not known to differ between them, the thetas are.
//
//   phase (context)      encoders         decoders
//   pre-training (1024)  10000 / 10000    10000 / 10000     global / local
//   extension (7999)     160000 / 160000  160000 / 160000   17m: local 10000
//   decay (7999)         160000 / 160000  160000 / 160000   17m, 32m, 68m, 400m decoders:
//                                                           local 10000
//   cross-objective      160000 / 160000  160000 / 160000
// (rotary_emb_base and local_attn_rotary_emb_base of the published training configs.)
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "model/config.h"

namespace ettin {

enum class Phase : uint8_t { unknown, pre_training, extension, decay };
std::string_view phase_name(Phase phase);  // "pre-training"

struct TrainingPhase {
  Phase phase = Phase::unknown;
  bool cross_objective = false;  // continued from the other kind's weights
  std::string said_by;           // "revision step590532", "the name decay100 in the path"

  bool known() const { return phase != Phase::unknown || cross_objective; }
  std::string name() const;  // "pre-training", "cross-objective"
};

// Of a revision or one part of a path: step..., pretrain... | ext... | decay..., followed by
// nothing, digits or a separator.
Phase phase_of(std::string_view name);
// "ettin-dec-from-enc-32m", "encoder-from-decoder", ... inside a name.
bool is_cross_objective(std::string_view name);
// Of a folder that has exactly the name of a published revision: step, ext or decay and digits.
TrainingPhase phase_of_revision(std::string_view path);
// Of the part nearest to the end that says one.
TrainingPhase phase_of_path(std::string_view path);

struct Thetas {
  double global = 0, local = 0;
};
// By the table; nullopt when the phase is not known. The size is inferred from the shape: one that
// was not published counts as the larger ones do.
std::optional<Thetas> phase_thetas(const TrainingPhase& phase, const ModelConfig& config);

}  // namespace ettin
