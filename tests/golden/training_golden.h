// The float64 goldens of training (../shared/data/golden/torch) as this project's types.
#pragma once

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "formats/safetensors.h"
#include "golden/golden.h"
#include "model/backward.h"
#include "model/read_parameters.h"
#include "train/gradient_pass.h"

namespace ettin::test {

inline constexpr char kTorchFolder[] = ETTIN_SHARED_DIR "/data/golden/torch";
inline constexpr char kGradients[] = "data/golden/torch/gradients.json";
inline constexpr char kTraining[] = "data/golden/torch/training.json";

// "tiny-encoder" and the like, as configured there.
inline ModelConfig torch_config(const std::string& model) {
  std::vector<std::string> warnings;
  const std::string path = fmt::format("{}/{}/config.json", kTorchFolder, model);
  return *resolve_config(*parse_hf_config(must_read_json(path), path), &warnings);
}

inline Parameters torch_parameters(const std::string& model, Dtype dtype) {
  const ModelConfig config = torch_config(model);
  Parameters values = make_parameters(config, dtype);
  std::vector<std::string> warnings;
  const Status read =
      read_parameters(config, *TensorSource::open(fmt::format("{}/{}", kTorchFolder, model)), {},
                      &values, &warnings);
  EXPECT_TRUE(read.ok()) << read.to_string();
  return values;
}

// The name that the goldens give an entry of the list, without ".weight".
inline std::string golden_name(const TensorSpec& spec) {
  const bool head = spec.name.starts_with("head") || spec.name.starts_with("decoder") ||
                    spec.name.starts_with("classifier");
  return (head ? "" : "model.") + spec.name;
}

inline std::vector<double> to_doubles(ConstView view) {
  std::vector<double> out;
  for (int64_t r = 0; r < view.rows; ++r) {
    for (int64_t c = 0; c < view.cols; ++c) {
      out.push_back(view.dtype == Dtype::f64 ? view.row<double>(r)[c] : view.row<float>(r)[c]);
    }
  }
  return out;
}

// Every tensor under its golden name; a tied one once.
inline std::map<std::string, std::vector<double>> by_name(const ModelConfig& config,
                                                          const Parameters& parameters) {
  std::map<std::string, std::vector<double>> out;
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, const Parameter& p) {
        if (!spec.tied) out[golden_name(spec) + ".weight"] = to_doubles(p.weight);
        if (spec.bias) out[golden_name(spec) + ".bias"] = to_doubles(p.bias);
      },
      parameters);
  return out;
}

// sum, norm and a pseudo-random projection, as the goldens' README defines them.
struct TensorDigest {
  double sum = 0, norm = 0, dot = 0;
};

inline TensorDigest digest(const std::vector<double>& x) {
  TensorDigest d;
  for (size_t i = 0; i < x.size(); ++i) {
    d.sum += x[i];
    d.norm += x[i] * x[i];
    d.dot +=
        x[i] * (static_cast<double>(static_cast<uint32_t>(i * 2654435761u)) / 4294967296.0 - 0.5);
  }
  d.norm = std::sqrt(d.norm);
  return d;
}

// Of every tensor of `digests`, the largest error of the three over its norm.
inline double worst_digest_error(const std::map<std::string, std::vector<double>>& actual,
                                 const Json& digests) {
  double worst = 0;
  EXPECT_EQ(actual.size(), digests.size());
  for (const auto& [name, expected] : digests.items()) {
    const auto found = actual.find(name);
    EXPECT_TRUE(found != actual.end()) << name;
    if (found == actual.end()) continue;
    const TensorDigest d = digest(found->second);
    const double norm = expected["norm"].get<double>();
    for (const auto& [value, key] :
         {std::pair{d.sum, "sum"}, std::pair{d.norm, "norm"}, std::pair{d.dot, "dot"}}) {
      // A sum of n errors of random sign grows as their norm does; the digests' own as sqrt n.
      worst = std::max(worst, std::abs(value - expected[key].get<double>()) / norm);
    }
  }
  return worst;
}

inline TrainingBatch clm_batch(const Json& documents) {
  TrainingBatch b;
  for (const Json& ids : documents) {
    append_sequence({.objective = Objective::clm}, {}, ids.get<std::vector<int32_t>>(), &b);
  }
  return b;
}

// Inputs that are masked already, labels -100 where nothing is predicted. shift: from the position
// of a label to the row that predicts it.
inline TrainingBatch labelled_batch(const Json& inputs, const Json& labels, int64_t shift,
                                    size_t first = 0, size_t last = SIZE_MAX) {
  TrainingBatch b;
  for (size_t n = first; n < std::min(last, inputs.size()); ++n) {
    const int64_t start = b.batch.append(inputs[n].get<std::vector<int32_t>>());
    const auto of_sequence = labels[n].get<std::vector<int32_t>>();
    for (size_t i = 0; i < of_sequence.size(); ++i) {
      if (of_sequence[i] < 0) continue;
      b.targets.rows.push_back(start + static_cast<int64_t>(i) + shift);
      b.targets.ids.push_back(of_sequence[i]);
    }
  }
  return b;
}

inline Microbatch token_mean(TrainingBatch data) {
  const double scale = 1.0 / static_cast<double>(data.targets.ids.size());
  return {std::move(data), scale};
}

}  // namespace ettin::test
