// The network as an ONNX graph.
#pragma once

#include "formats/onnx_writer.h"
#include "infer/onnx/format.h"
#include "model/model_folder.h"

namespace ettin {

// Inputs, int64: input_ids [batch_size, sequence_length], attention_mask alike.
// Output, f32 in every format: by the head, last_hidden_state [batch_size, sequence_length, H],
// logits [batch_size, sequence_length, V or labels], or logits [batch_size, labels].
// A causal language model has more inputs: for layer i past_key_values.{i}.key and .value
// [batch_size, heads, past_sequence_length, head size] f32, keys rotated; num_logits_to_keep, an
// int64 scalar: of the last so many tokens, 0 of all. attention_mask covers the past too. Its
// outputs present.{i}.key and .value are the next call's past. What transformers.js looks for.
Status write_onnx_graph(const ModelFolder& folder, OnnxFormat format, OnnxStyle style,
                        OnnxWriter* writer);

}  // namespace ettin
