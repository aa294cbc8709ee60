#include "backend/op_cases.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cmath>
#include <numeric>

namespace ettin {
namespace {

constexpr AttentionSpec kFull = {};
constexpr AttentionSpec kCausal = {AttentionSpec::kUnlimited, 0};
constexpr AttentionSpec kEncoderWindow = {64, 64};
constexpr AttentionSpec kDecoderWindow = {63, 0};

// A dot product of k terms in fp32 errs like a random walk of k roundings.
double dot_tolerance(int64_t k) { return 1e-7 * (4 + std::sqrt(static_cast<double>(k))); }

OpCase base(Op op, std::vector<int64_t> lengths, int64_t in, double tolerance) {
  OpCase c;
  c.op = op;
  c.lengths = std::move(lengths);
  c.in = in;
  c.tolerance = tolerance;
  return c;
}

constexpr int64_t kLengths[] = {1, 2, 3, 5, 7, 16, 17, 33, 64, 129};

void add_linear(std::vector<OpCase>& cases) {
  const auto make = [&](int64_t rows, int64_t in, int64_t out) {
    OpCase c = base(Op::linear, {rows}, in, dot_tolerance(in));
    c.out = out;
    return c;
  };
  for (const int64_t rows : kLengths) {
    for (const auto& [in, out] : {std::pair<int64_t, int64_t>{64, 96}, {37, 41}, {384, 130}}) {
      OpCase c = make(rows, in, out);
      c.bias = rows % 2 == 1;
      c.strided = rows % 3 == 0;
      cases.push_back(c);
      c.epilogue = Epilogue::add;
      cases.push_back(c);
      c.epilogue = Epilogue::gated;
      c.activation = Activation::gelu;
      c.out += c.out % 2;
      cases.push_back(c);
    }
  }
  for (const Activation a : {Activation::gelu, Activation::gelu_tanh, Activation::silu,
                             Activation::relu, Activation::tanh}) {
    OpCase c = make(19, 48, 70);
    c.activation = a;
    c.bias = true;
    cases.push_back(c);
    c.epilogue = Epilogue::gated;
    cases.push_back(c);
  }
  for (const Dtype d : {Dtype::bf16, Dtype::f16, Dtype::f64}) {
    cases.push_back(make(9, 40, 35));
    cases.back().stored = d;
  }
  cases.push_back(make(1, 1, 1));
  cases.push_back(make(300, 1152, 33));
  // The shapes of the 32m model: qkv, attention output, gated, back, a slice of the vocabulary.
  for (const int64_t rows : {int64_t{1}, int64_t{128}}) {
    cases.push_back(make(rows, 384, 1152));
    cases.push_back(make(rows, 384, 384));
    cases.back().epilogue = Epilogue::add;
    cases.push_back(make(rows, 384, 1152));
    cases.back().epilogue = Epilogue::gated;
    cases.back().activation = Activation::gelu;
    cases.push_back(make(rows, 576, 384));
    cases.back().epilogue = Epilogue::add;
  }
}

void add_attention(std::vector<OpCase>& cases) {
  const auto make = [&](std::vector<int64_t> lengths, int64_t head_dim, int64_t heads,
                        AttentionSpec spec) {
    OpCase c = base(Op::attention, std::move(lengths), head_dim * heads, 4e-6);
    c.heads = heads;
    c.spec = spec;
    return c;
  };
  for (const AttentionSpec spec :
       {kFull, kCausal, kEncoderWindow, kDecoderWindow, AttentionSpec{2, 2}, AttentionSpec{3, 0}}) {
    for (const int64_t length : kLengths) cases.push_back(make({length}, 16, 2, spec));
    cases.push_back(make({3, 140, 1, 70, 17}, 64, 2, spec));
    cases.push_back(make({300}, 64, 1, spec));
    cases.back().strided = true;
    cases.push_back(make({5, 21}, 7, 3, spec));  // an odd head size
    cases.push_back(make({130}, 80, 1, spec));
    cases.push_back(make({4}, 1, 1, spec));
  }
  const auto cached = [&](std::vector<int64_t> lengths, std::vector<int64_t> past, int64_t capacity,
                          AttentionSpec spec) {
    OpCase c = make(std::move(lengths), 16, 2, spec);
    c.past = std::move(past);
    c.capacity = capacity;
    cases.push_back(c);
    c.op = Op::kv_append;
    c.tolerance = 0;
    cases.push_back(c);
  };
  cases.push_back(make({700}, 16, 2, {300, 200}));  // a window of several blocks
  cached({150, 1}, {500, 700}, 512, {300, 0});
  cached({1}, {5}, 16, kCausal);
  cached({1, 1, 1}, {0, 129, 400}, 512, kCausal);
  cached({7, 1, 40}, {3, 0, 200}, 256, kCausal);
  cached({1, 1, 1, 1}, {3, 63, 64, 1000}, 64, kDecoderWindow);  // rings, some wrapped
  cached({5, 90, 1}, {62, 77, 130}, 64, kDecoderWindow);
  cached({4, 9}, {2, 11}, 4, {3, 0});
}

std::vector<OpCase> make_cases() {
  std::vector<OpCase> cases;
  add_linear(cases);
  add_attention(cases);
  for (const int64_t in : {64, 37, 384, 1, 5}) {
    for (const int64_t rows : {1, 3, 64}) {
      for (const bool flag : {false, true}) {
        OpCase c = base(Op::layer_norm, {rows}, in, 1e-6);
        c.bias = flag;
        c.strided = flag;
        cases.push_back(c);
        c = base(Op::l2_normalize, {rows}, in, 1e-6);
        c.strided = flag;
        cases.push_back(c);
        c = base(Op::embed, {rows}, in, 0);
        c.out = 75;
        c.strided = flag;
        cases.push_back(c);
        c.op = Op::gather_rows;
        cases.push_back(c);
        c = base(Op::log_sum_exp, {rows}, in, 2e-7);
        c.strided = flag;
        cases.push_back(c);
        for (const int64_t k : {int64_t{1}, std::min<int64_t>(in, 5), in}) {
          c = base(Op::top_k, {rows}, in, 0);
          c.out = k;
          cases.push_back(c);
        }
      }
    }
  }
  for (const Pooling p : {Pooling::mean, Pooling::cls, Pooling::last, Pooling::weighted_mean}) {
    for (const bool strided : {false, true}) {
      OpCase c = base(Op::pool, {1, 5, 64, 2, 300}, 37, 2e-7);
      c.pooling = p;
      c.strided = strided;
      cases.push_back(c);
    }
  }
  for (const auto& [head_dim, heads] : {std::pair<int64_t, int64_t>{64, 6}, {16, 2}, {10, 3}}) {
    OpCase c = base(Op::rope, {1, 30, 7}, head_dim * heads, 5e-7);
    c.heads = heads;
    cases.push_back(c);
    c.strided = true;
    cases.push_back(c);
  }
  cases.push_back(base(Op::log_sum_exp, {2}, 50368, 2e-7));
  cases.push_back(base(Op::top_k, {2}, 50368, 0));
  return cases;
}

constexpr std::string_view kOpNames[] = {"embed",        "layer_norm",  "linear",      "rope",
                                         "attention",    "kv_append",   "gather_rows", "pool",
                                         "l2_normalize", "log_sum_exp", "top_k"};
constexpr std::string_view kActivationNames[] = {"identity", "gelu", "gelu_tanh",
                                                 "silu",     "relu", "tanh"};
constexpr std::string_view kEpilogueNames[] = {"store", "add", "gated"};
constexpr std::string_view kPoolingNames[] = {"mean", "cls", "last", "weighted_mean"};

template <class E>
size_t index(E e) {
  return static_cast<size_t>(e);
}

}  // namespace

int64_t OpCase::rows() const { return std::accumulate(lengths.begin(), lengths.end(), int64_t{0}); }

const std::vector<OpCase>& op_cases() {
  static const std::vector<OpCase> cases = make_cases();
  return cases;
}

std::string to_string(const OpCase& c) {
  std::string s = fmt::format("{} lengths [{}] in {} out {} heads {}", kOpNames[index(c.op)],
                              fmt::join(c.lengths, ","), c.in, c.out, c.heads);
  if (c.op == Op::linear) {
    s += fmt::format(" {} {} stored {}", kEpilogueNames[index(c.epilogue)],
                     kActivationNames[index(c.activation)], dtype_name(c.stored));
  }
  if (c.op == Op::pool) s += fmt::format(" {}", kPoolingNames[index(c.pooling)]);
  if (c.op == Op::attention) s += fmt::format(" window {}, {}", c.spec.left, c.spec.right);
  if (!c.past.empty()) s += fmt::format(" past [{}] of {}", fmt::join(c.past, ","), c.capacity);
  if (c.bias) s += " bias";
  if (c.strided) s += " strided";
  return s;
}

}  // namespace ettin
