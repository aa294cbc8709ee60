// Two models tensor by tensor: the work of `ettin diff`.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "model/model_folder.h"

namespace ettin {

// One tensor that both models have, whatever its name, its split (q, k, v) and its type there.
// Values are compared in double, those of q8 and q4 multiplied by their scales and q8 rotated back.
struct TensorDifference {
  std::string name;                // encoder spelling: "layers.3.attn.Wqkv.weight"
  std::string stored_a, stored_b;  // "fp32", "fp16", "q8", ...
  uint64_t elements = 0;
  uint64_t differing = 0;     // values that are not equal; two NaN are equal
  double max_difference = 0;  // max |a - b|; infinite where only one of them is finite
  double largest = 0;         // max |a|
  double cosine = 1;          // of all values as two vectors; 0 when only one is all zero

  double relative() const;  // max_difference / largest; infinite when only a is all zero
};

struct SettingDifference {
  std::string key;  // of config.json
  std::string a, b;
};

struct WeightsDifference {
  std::vector<TensorDifference> tensors;  // in the order of the list of tensors
  std::vector<std::string> only_a, only_b;
  std::vector<std::string> other_shape;     // "name: [8, 4] and [8, 6]"
  std::vector<SettingDifference> settings;  // that change what the network computes

  // Whether both have the same tensors, with values that are so close.
  bool equal_tensors(double tolerance) const;
  // And the same settings: then both compute the same.
  bool equal(double tolerance) const { return settings.empty() && equal_tensors(tolerance); }
  // The tensor with the largest relative difference, or null.
  const TensorDifference* worst() const;
};

// Holds a few rows of each model in memory for every thread. The same for any number of threads.
WeightsDifference diff_weights(const ModelFolder& a, const ModelFolder& b, ThreadPool& threads);

}  // namespace ettin
