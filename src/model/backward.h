// The backward pass of the network, beside the forward in backbone.cc, and the loss on top of it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/arena.h"
#include "model/backbone.h"
#include "model/parameters.h"
#include "model/tape.h"

namespace ettin {

// A network whose weights change: the master weights, and what products read, packed from them.
struct TrainedNetwork {
  Network network;     // y = x W^T reads these
  Weights transposed;  // dx = dy W reads these; norms are empty
  Parameters values;   // master weights

  const Gradients& ops() const { return *network.backend->gradients(); }
  // After `values` changed.
  void repack();
  // Rope tables and windows of another phase. Precondition: the same shape.
  void set_config(ModelConfig config);
};

// Precondition: backend->gradients() is not null, `values` is made for `config`.
TrainedNetwork make_trained_network(ModelConfig config, std::shared_ptr<const Backend> backend,
                                    Parameters values);

// Adds the gradient of every parameter of the backbone to `gradients`, given that of the hidden
// states that backbone_forward returned with this tape.  d_hidden [T, H]
void backbone_backward(const TrainedNetwork& trained, const Batch& batch, const Tape& tape,
                       ConstView d_hidden, Arena& arena, Parameters* gradients);

// Positions of the batch that predict, and what.
struct Targets {
  std::vector<int64_t> rows;  // [M] rows of the hidden states that predictions are read from
  std::vector<int32_t> ids;   // [M]
};

// Cross-entropy in nats of each target, and whether no token is likelier (`best`, 1 or 0; may be
// empty), [M]. With `gradients`, also scale times the losses' gradients: of the head's parameters,
// added, and of the hidden states, written to d_hidden [T, H].
// Precondition: config.head is language_model.
void language_model_loss(const TrainedNetwork& trained, ConstView hidden, const Targets& targets,
                         double scale, Arena& arena, std::span<double> losses,
                         std::span<uint8_t> best, View d_hidden, Parameters* gradients);

// The same for one label per sequence (head sequence_classification).  labels [N], losses [N]
void classification_loss(const TrainedNetwork& trained, ConstView hidden,
                         std::span<const int64_t> starts, std::span<const int32_t> labels,
                         double scale, Arena& arena, std::span<double> losses, View d_hidden,
                         Parameters* gradients);

}  // namespace ettin
