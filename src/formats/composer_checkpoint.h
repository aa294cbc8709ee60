// A training checkpoint as a source of tensors under Hugging Face's names: what Composer saved of
// the flex_bert and flex_gpt models that became Ettin, or any torch file of one state_dict.
//
// In the file                          here
//   model.bert.embeddings.X              model.embeddings.X
//   model.bert.encoder.layers.I.X        model.layers.I.X
//   model.bert.final_norm.X              model.final_norm.X
//   model.head.X, model.lm_head.X        head.X, lm_head.X
//   model.decoder.X, model.classifier.X  decoder.X, classifier.X
// The first "model." is the trainer's wrapper and may be missing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "ettin/status.h"
#include "formats/tensor_source.h"

namespace ettin {

struct Checkpoint {
  TensorSource source;
  Json config;                           // the training config that the file holds; null: none
  std::optional<int64_t> batch, tokens;  // as its timestamp says
};

// Is this the name of a file that a trainer saves?
bool is_checkpoint_name(std::string_view path);  // *.pt, *.pth

Result<Checkpoint> open_checkpoint(const std::string& path);

// Renames in place where the names are a trainer's; others stay. An error when two become one.
Status rename_training_tensors(std::vector<StoredTensor>* tensors, std::string_view where);

}  // namespace ettin
