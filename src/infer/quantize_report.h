// What a quantised model gained and lost, measured on texts against the fp32 original.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "ettin/ettin.h"
#include "infer/compare_models.h"

namespace ettin {

// Sizes and formats of a folder that was made from another, without running either: kind, format,
// formats, parameters, bits_per_weight, bytes and original_bytes (weights, as the files hold them).
Result<Json> quantization_facts(const std::string& original, const std::string& quantized);

// Takes texts piece by piece; memory does not grow with them. Not thread-safe.
class QuantizationReport {
 public:
  // Loads both: `original` as fp32, `quantized` as stored; the rest of `options` is for both.
  static Result<QuantizationReport> open(const std::string& original, const std::string& quantized,
                                         const ModelOptions& options);

  // Texts of white space alone are left out; longer ones are cut to the model's length.
  Status add(std::span<const TextInput> texts);

  // The sections "comparison" (compare_models.h) and "speed": tokens a second of both models on the
  // same batch of the texts, run in turns, and the median of the ratios. An error without texts.
  Result<Json> finish();

 private:
  QuantizationReport(Model original, Model quantized)
      : original_(std::move(original)), quantized_(std::move(quantized)) {}

  Result<Json> speed() const;

  Model original_, quantized_;
  ModelDifference difference_;
  std::vector<std::vector<int32_t>> timed_;  // the first texts, as ids
  int64_t timed_tokens_ = 0;
};

}  // namespace ettin
