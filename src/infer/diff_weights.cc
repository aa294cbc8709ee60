#include "infer/diff_weights.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <span>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace ettin {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

size_t to_size(int64_t n) { return static_cast<size_t>(n); }

// A tensor of the list as rows, wherever they are stored.
struct Rows {
  int64_t rows = 0, cols = 0;
  std::vector<StoredMatrix> blocks;          // of a matrix, stacked
  std::vector<const StoredTensor*> vectors;  // of a norm or a bias, one after the other
  bool is_embedding = false;                 // a tied matrix that is not stored itself

  std::string shape() const {
    return blocks.empty() ? fmt::format("[{}]", cols) : fmt::format("[{}, {}]", rows, cols);
  }

  std::string stored() const {
    std::string all;
    const auto add = [&](std::string_view name) {
      if (all.find(name) == std::string::npos) all += (all.empty() ? "" : "+") + std::string(name);
    };
    for (const StoredMatrix& m : blocks) add(stored_name(m));
    for (const StoredTensor* t : vectors) add(dtype_name(t->dtype));
    return all;
  }

  void read(int64_t row, std::span<double> out) const {
    if (!blocks.empty()) return read_row(blocks, row, out);
    for (const StoredTensor* t : vectors) {
      const size_t n = t->element_count();
      read_elements(*t, 0, out.first(n));
      out = out.subspan(n);
    }
  }
};

using Tensors = std::vector<std::pair<std::string, Rows>>;

Tensors tensors_of(const ModelFolder& folder) {
  Tensors all;
  for (const FoundTensor& found : folder.plan) {
    const TensorSpec& spec = found.spec;
    Rows weight;
    weight.rows = spec.rows;
    weight.cols = spec.cols;
    if (spec.is_norm) {
      weight.vectors = {found.gain};
    } else {
      weight.is_embedding = found.blocks.empty();
      weight.blocks = weight.is_embedding ? folder.plan.front().blocks : found.blocks;
    }
    all.emplace_back(spec.name + ".weight", std::move(weight));
    if (!spec.bias) continue;
    Rows bias;
    bias.rows = 1;
    bias.cols = spec.is_norm ? spec.cols : spec.rows;
    bias.vectors = found.bias_blocks;
    all.emplace_back(spec.name + ".bias", std::move(bias));
  }
  return all;
}

// Sums over some rows; added up in the order of the rows.
struct Sums {
  uint64_t differing = 0;
  double max_difference = 0, largest = 0;
  double ab = 0, aa = 0, bb = 0;

  void add(std::span<const double> a, std::span<const double> b) {
    for (size_t i = 0; i < a.size(); ++i) {
      const double x = a[i], y = b[i];
      ab += x * y;
      aa += x * x;
      bb += y * y;
      largest = std::max(largest, std::fabs(x));
      if (x == y || (std::isnan(x) && std::isnan(y))) continue;
      ++differing;
      const double apart = std::fabs(x - y);
      max_difference = std::max(max_difference, std::isnan(apart) ? kInfinity : apart);
    }
  }

  void add(const Sums& other) {
    differing += other.differing;
    max_difference = std::max(max_difference, other.max_difference);
    largest = std::max(largest, other.largest);
    ab += other.ab;
    aa += other.aa;
    bb += other.bb;
  }
};

TensorDifference compare(const std::string& name, const Rows& a, const Rows& b,
                         ThreadPool& threads) {
  constexpr int64_t kElementsAtOnce = 64 * 1024;
  const int64_t step = std::max<int64_t>(1, kElementsAtOnce / std::max<int64_t>(1, a.cols));
  std::vector<Sums> parts(to_size((a.rows + step - 1) / step));
  threads.parallel_for(static_cast<int64_t>(parts.size()), [&](int64_t part, int) {
    std::vector<double> x(to_size(a.cols)), y(to_size(a.cols));
    for (int64_t row = part * step; row < std::min(a.rows, (part + 1) * step); ++row) {
      a.read(row, x);
      b.read(row, y);
      parts[to_size(part)].add(x, y);
    }
  });
  Sums all;
  for (const Sums& part : parts) all.add(part);
  TensorDifference d;
  d.name = name;
  d.stored_a = a.stored();
  d.stored_b = b.stored();
  d.elements = static_cast<uint64_t>(a.rows) * static_cast<uint64_t>(a.cols);
  d.differing = all.differing;
  d.max_difference = all.max_difference;
  d.largest = all.largest;
  const double lengths = std::sqrt(all.aa) * std::sqrt(all.bb);
  d.cosine = lengths == 0 ? 0 : all.ab / lengths;
  if (all.differing == 0) d.cosine = 1;  // two zeros too, and no rounding of sums
  return d;
}

std::vector<SettingDifference> diff_settings(const ModelConfig& a, const ModelConfig& b) {
  std::vector<SettingDifference> all;
  const auto check = [&](std::string_view key, const auto& x, const auto& y) {
    if (x != y) {
      all.push_back({std::string(key), fmt::format("{}", x), fmt::format("{}", y)});
    }
  };
  const auto layers = [](const ModelConfig& c) {
    std::string text;
    for (const bool global : c.layer_is_global) text += global ? 'G' : 'l';
    return text;
  };
  const auto has_labels = [](const ModelConfig& c) {
    return c.head == Head::sequence_classification || c.head == Head::token_classification;
  };
  const auto labels = [](const ModelConfig& c) {
    return fmt::format("{}", fmt::join(c.labels, ", "));
  };
  const auto pooling = [](const ModelConfig& c) {
    return c.classifier_pooling == Pooling::mean ? "mean" : "cls";
  };
  check("kind", a.arm.name, b.arm.name);
  check("head", head_name(a.head), head_name(b.head));
  check("vocab_size", a.vocab_size, b.vocab_size);
  check("hidden_size", a.hidden_size, b.hidden_size);
  check("intermediate_size", a.intermediate_size, b.intermediate_size);
  check("num_hidden_layers", a.num_layers, b.num_layers);
  check("num_attention_heads", a.num_heads, b.num_heads);
  check("max_position_embeddings", a.max_positions, b.max_positions);
  check("hidden_activation", activation_name(a.activation), activation_name(b.activation));
  check("norm_eps", a.norm_eps, b.norm_eps);
  check("layer_types", layers(a), layers(b));
  check("global_rope_theta", a.global_rope_theta, b.global_rope_theta);
  check("local_rope_theta", a.local_rope_theta, b.local_rope_theta);
  check("local_attention", 2 * a.window_each_side, 2 * b.window_each_side);
  if (a.arm == kDecoder && b.arm == kDecoder) {
    check("sliding_window", a.causal_window_keys, b.causal_window_keys);
  }
  if (a.head != Head::none && b.head != Head::none) {
    check("classifier_activation", activation_name(a.classifier_activation),
          activation_name(b.classifier_activation));
  }
  if (a.arm == kEncoder && a.head == Head::sequence_classification) {
    check("classifier_pooling", pooling(a), pooling(b));
  }
  if (has_labels(a) && has_labels(b)) {
    check("num_labels", a.num_labels, b.num_labels);
    check("id2label", labels(a), labels(b));
    check("problem_type", a.problem_type, b.problem_type);
  }
  check("tie_word_embeddings", a.tie_word_embeddings, b.tie_word_embeddings);
  return all;
}

}  // namespace

double TensorDifference::relative() const {
  if (max_difference == 0) return 0;
  return largest > 0 ? max_difference / largest : kInfinity;
}

bool WeightsDifference::equal_tensors(double tolerance) const {
  return only_a.empty() && only_b.empty() && other_shape.empty() &&
         std::all_of(tensors.begin(), tensors.end(),
                     [&](const TensorDifference& t) { return t.max_difference <= tolerance; });
}

const TensorDifference* WeightsDifference::worst() const {
  const auto at =
      std::max_element(tensors.begin(), tensors.end(),
                       [](const auto& x, const auto& y) { return x.relative() < y.relative(); });
  return at == tensors.end() || at->differing == 0 ? nullptr : &*at;
}

WeightsDifference diff_weights(const ModelFolder& a, const ModelFolder& b, ThreadPool& threads) {
  WeightsDifference all;
  all.settings = diff_settings(a.config, b.config);
  const Tensors of_a = tensors_of(a), of_b = tensors_of(b);
  std::map<std::string, const Rows*> by_name;
  for (const auto& [name, rows] : of_b) by_name[name] = &rows;
  for (const auto& [name, rows] : of_a) {
    const auto other = by_name.find(name);
    if (other == by_name.end()) {
      all.only_a.push_back(name);
      continue;
    }
    const Rows& theirs = *other->second;
    by_name.erase(other);
    if (rows.is_embedding && theirs.is_embedding) continue;  // compared as the embedding
    if (rows.rows != theirs.rows || rows.cols != theirs.cols) {
      all.other_shape.push_back(fmt::format("{}: {} and {}", name, rows.shape(), theirs.shape()));
    } else {
      all.tensors.push_back(compare(name, rows, theirs, threads));
    }
  }
  for (const auto& [name, rows] : of_b) {
    if (by_name.contains(name)) all.only_b.push_back(name);
  }
  return all;
}

}  // namespace ettin
