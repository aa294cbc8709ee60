#include "backend/gradient_cases.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numeric>

namespace ettin {
namespace {

constexpr AttentionSpec kFull = {};
constexpr AttentionSpec kCausal = {AttentionSpec::kUnlimited, 0};
constexpr int64_t kRows[] = {1, 2, 3, 5, 17, 40, 129};
constexpr Activation kActivations[] = {Activation::identity,  Activation::gelu,
                                       Activation::gelu_tanh, Activation::silu,
                                       Activation::relu,      Activation::tanh};

// A dot product of k terms in fp32 errs like a random walk of k roundings.
double dot_tolerance(int64_t k) { return 1e-7 * (4 + std::sqrt(static_cast<double>(k))); }

GradientCase base(GradientOp op, std::vector<int64_t> lengths, int64_t in, double tolerance) {
  GradientCase c;
  c.op = op;
  c.lengths = std::move(lengths);
  c.in = in;
  c.tolerance = tolerance;
  return c;
}

void add_linear(std::vector<GradientCase>& cases) {
  const auto add = [&](int64_t rows, int64_t in, int64_t out, bool flag) {
    GradientCase c = base(GradientOp::linear_weight_backward, {rows}, in, dot_tolerance(rows));
    c.out = out;
    c.strided = flag;
    cases.push_back(c);
    c.norm = true;
    c.tolerance += 4e-7;
    cases.push_back(c);
    c.bias = true;  // of the norm
    cases.push_back(c);
    c.norm = c.bias = false;
    c.op = GradientOp::linear_backward;
    c.tolerance = dot_tolerance(out);
    cases.push_back(c);
    c.op = GradientOp::linear_bias_backward;
    c.tolerance = dot_tolerance(rows);
    cases.push_back(c);
  };
  for (const int64_t rows : kRows) {
    for (const auto& [in, out] : {std::pair<int64_t, int64_t>{64, 96}, {37, 41}, {130, 33}}) {
      add(rows, in, out, rows % 3 == 0);
    }
  }
  add(9, 1, 1, false);
  add(300, 48, 32, true);
  add(17, 384, 1152, false);  // shapes of the 32m model
  add(17, 576, 384, false);
  for (const auto& [in, out] :
       {std::pair<int64_t, int64_t>{64, 96}, {37, 41}, {1, 1}, {384, 576}}) {
    for (const bool bias : {false, true}) {
      GradientCase c = base(GradientOp::pack, {3}, in, dot_tolerance(std::max(in, out)));
      c.out = out;
      c.bias = c.strided = bias;
      cases.push_back(c);
      c.op = GradientOp::pack_norm;
      c.tolerance = 1e-6;
      cases.push_back(c);
    }
  }
}

void add_attention(std::vector<GradientCase>& cases) {
  const auto add = [&](std::vector<int64_t> lengths, int64_t head_dim, int64_t heads,
                       AttentionSpec spec, bool strided = false) {
    GradientCase c = base(GradientOp::attention, std::move(lengths), head_dim * heads, 4e-6);
    c.heads = heads;
    c.spec = spec;
    c.strided = strided;
    cases.push_back(c);
    c.op = GradientOp::attention_backward;
    c.tolerance = 1e-5;
    cases.push_back(c);
  };
  for (const AttentionSpec spec :
       {kFull, kCausal, AttentionSpec{8, 8}, AttentionSpec{7, 0}, AttentionSpec{64, 64},
        AttentionSpec{63, 0}, AttentionSpec{64, 0}}) {
    for (const int64_t length : kRows) add({length}, 64, 1, spec);
    add({3, 140, 1, 70, 17}, 64, 1, spec);
    add({5, 21, 40}, 32, 3, spec);
    add({130}, 32, 1, spec, true);
    add({6, 19}, 16, 2, spec);
    add({5, 21}, 7, 3, spec);  // an odd head size
  }
  add({300}, 64, 2, kFull);
  add({300}, 64, 1, kCausal, true);
  add({400}, 64, 1, {200, 150});  // a window of several blocks
}

void add_elementwise(std::vector<GradientCase>& cases) {
  for (const int64_t rows : {1, 3, 40}) {
    for (const int64_t cols : {64, 37, 1, 576}) {
      for (const Activation a : kActivations) {
        if (cols == 576 && a != Activation::gelu) continue;
        GradientCase c = base(GradientOp::gate, {rows}, cols, 2e-6);
        c.activation = a;
        c.strided = rows == 3;
        cases.push_back(c);
        for (const GradientOp op :
             {GradientOp::gate_backward, GradientOp::activate, GradientOp::activate_backward}) {
          c.op = op;
          c.in_place = rows == 40 && op != GradientOp::gate_backward;
          cases.push_back(c);
        }
      }
      for (const double rate : {0.0, 0.1, 0.9}) {
        for (const Epilogue e : {Epilogue::store, Epilogue::add}) {
          GradientCase c = base(GradientOp::dropout, {rows}, cols, 3e-7);
          c.epilogue = e;
          c.rate = rate;
          c.strided = rows == 3;
          c.in_place = rows == 40 && e == Epilogue::store;
          cases.push_back(c);
        }
      }
    }
  }
}

void add_rows(std::vector<GradientCase>& cases) {
  for (const int64_t rows : kRows) {
    for (const int64_t in : {64, 37, 384, 5}) {
      for (const bool flag : {false, true}) {
        for (const Epilogue e : {Epilogue::store, Epilogue::add}) {
          GradientCase c = base(GradientOp::layer_norm_backward, {rows}, in, 3e-6);
          c.epilogue = e;
          c.bias = c.strided = flag;
          c.in_place = flag && e == Epilogue::store;
          cases.push_back(c);
        }
        GradientCase c = base(GradientOp::embed, {rows}, in, 0);
        c.out = 75;  // fewer than 129 rows: ids are repeated
        c.strided = flag;
        cases.push_back(c);
        c.op = GradientOp::embed_backward;
        c.tolerance = 1e-6;
        cases.push_back(c);
        c.op = GradientOp::gather_rows_backward;
        cases.push_back(c);
      }
    }
  }
  for (const Pooling p : {Pooling::mean, Pooling::cls, Pooling::last, Pooling::weighted_mean}) {
    for (const bool strided : {false, true}) {
      GradientCase c = base(GradientOp::pool_backward, {1, 5, 64, 2, 300}, 37, 3e-7);
      c.pooling = p;
      c.strided = strided;
      cases.push_back(c);
    }
  }
  for (const auto& [head_dim, heads] :
       {std::pair<int64_t, int64_t>{64, 6}, {32, 2}, {16, 2}, {10, 3}}) {
    GradientCase c = base(GradientOp::rope_backward, {1, 30, 7}, head_dim * heads, 5e-7);
    c.heads = heads;
    cases.push_back(c);
    c.strided = true;
    cases.push_back(c);
  }
}

void add_cross_entropy(std::vector<GradientCase>& cases) {
  for (const int64_t vocabulary : {97, 512, 1000}) {
    for (const int64_t rows : {1, 7, 200}) {
      for (const int64_t in : {64, 37}) {
        if (rows == 200 && vocabulary == 1000 && in == 64) continue;
        GradientCase c = base(GradientOp::cross_entropy, {rows}, in, 8e-6);
        c.out = vocabulary;
        c.bias = in == 64;
        c.strided = rows == 7;
        cases.push_back(c);
        c.loss_only = true;
        cases.push_back(c);
      }
    }
  }
  GradientCase c = base(GradientOp::cross_entropy, {40}, 384, 1e-5);
  c.out = 600;
  c.bias = true;
  cases.push_back(c);
}

std::vector<GradientCase> make_cases() {
  std::vector<GradientCase> cases;
  add_linear(cases);
  add_attention(cases);
  add_elementwise(cases);
  add_rows(cases);
  add_cross_entropy(cases);
  return cases;
}

constexpr std::string_view kNames[] = {"pack",
                                       "pack_norm",
                                       "embed",
                                       "attention",
                                       "gate",
                                       "activate",
                                       "dropout",
                                       "linear_backward",
                                       "linear_weight_backward",
                                       "linear_bias_backward",
                                       "layer_norm_backward",
                                       "gate_backward",
                                       "activate_backward",
                                       "rope_backward",
                                       "attention_backward",
                                       "embed_backward",
                                       "gather_rows_backward",
                                       "pool_backward",
                                       "cross_entropy"};
constexpr std::string_view kActivationNames[] = {"identity", "gelu", "gelu_tanh",
                                                 "silu",     "relu", "tanh"};
constexpr std::string_view kPoolingNames[] = {"mean", "cls", "last", "weighted_mean"};

template <class E>
size_t index(E e) {
  return static_cast<size_t>(e);
}

bool uses_activation(GradientOp op) {
  return op == GradientOp::gate || op == GradientOp::gate_backward || op == GradientOp::activate ||
         op == GradientOp::activate_backward;
}

}  // namespace

int64_t GradientCase::rows() const {
  return std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
}

double GradientCase::bf16_tolerance() const {
  const bool rounds_computed = op == GradientOp::cross_entropy ? !loss_only : norm;
  return tolerance + (rounds_computed ? 1e-3 : 0);
}

const std::vector<GradientCase>& gradient_cases() {
  static const std::vector<GradientCase> cases = make_cases();
  return cases;
}

std::string_view gradient_op_name(GradientOp op) { return kNames[index(op)]; }

std::string to_string(const GradientCase& c) {
  std::string s = fmt::format("{} lengths [{}] in {} out {} heads {}", gradient_op_name(c.op),
                              fmt::join(c.lengths, ","), c.in, c.out, c.heads);
  if (uses_activation(c.op)) s += fmt::format(" {}", kActivationNames[index(c.activation)]);
  if (c.op == GradientOp::pool_backward) s += fmt::format(" {}", kPoolingNames[index(c.pooling)]);
  if (c.op == GradientOp::attention || c.op == GradientOp::attention_backward) {
    s += fmt::format(" window {}, {}", c.spec.left, c.spec.right);
  }
  if (c.op == GradientOp::dropout) s += fmt::format(" rate {}", c.rate);
  if (c.epilogue == Epilogue::add) s += " add";
  if (c.bias) s += " bias";
  if (c.norm) s += " norm";
  if (c.strided) s += " strided";
  if (c.in_place) s += " in place";
  if (c.loss_only) s += " loss only";
  return s;
}

}  // namespace ettin
