// Runs one GradientCase on one backend.
#include <cmath>

#include "backend/case_data.h"
#include "backend/gradient_cases.h"

namespace ettin {
namespace {

// Streams of the random numbers of one case.
enum Stream : uint64_t { kInput = 1, kUpper, kWeight, kBias, kGain, kOutput, kBefore = 20 };

constexpr double kEps = 1e-5;

int64_t spread(int64_t t, int64_t n) { return (t * 7919 + 3) % n; }

}  // namespace

struct GradientRun::State {
  std::shared_ptr<const Backend> backend;
  GradientCase c;
  Arena arena;
  std::vector<View> made;
  std::vector<int64_t> starts = {0};
  View x, dy, out, log_sums;  // inputs and results of the forward
  View dx, d_weight, d_gain, d_bias;
  View master, bias, gain;
  LinearWeight weight, transposed;
  NormWeight norm;
  RopeTable table;
  Dropout dropout;
  std::vector<uint64_t> keys;
  std::vector<int32_t> ids;
  std::vector<int64_t> rows;
  std::vector<double> losses;
  std::vector<uint8_t> best;
  std::vector<GradientOutput> first_outputs;

  const Backend& b() const { return *backend; }
  const Gradients& g() const { return *backend->gradients(); }

  View make(int64_t row_count, int64_t cols, uint64_t stream, float scale = 1) {
    made.push_back(make_random(b(), arena, row_count, cols, c.strided, stream, scale));
    return made.back();
  }

  // Packs other contents first, so that every pack of a case refills.
  void pack_weight(int64_t out_features, int64_t in_features) {
    for (const uint64_t stream : {uint64_t{kBefore}, uint64_t{0}}) {
      master = make(out_features, in_features, stream + kWeight);
      bias = c.bias ? make(1, out_features, stream + kBias) : View();
      g().pack(master, bias, &weight, &transposed);
      if (c.op == GradientOp::pack) break;
    }
    if (c.op != GradientOp::pack) return;
    master = make(out_features, in_features, kWeight);
    if (c.bias) bias = make(1, out_features, kBias);
  }

  void pack_norm() {
    gain = make(1, c.in, kBefore + kGain);
    bias = c.bias ? make(1, c.in, kBefore + kBias) : View();
    g().pack(gain, bias, 1, &norm);
    gain = make(1, c.in, kGain, 2);
    if (c.bias) bias = make(1, c.in, kBias);
    if (c.op != GradientOp::pack_norm) g().pack(gain, bias, kEps, &norm);
  }

  void prepare() {
    for (const int64_t n : c.lengths) starts.push_back(starts.back() + n);
    const int64_t T = c.rows();
    switch (c.op) {
      case GradientOp::pack:
        pack_weight(c.out, c.in);
        x = make(T, c.in, kInput);
        dy = make(T, c.out, kUpper);
        out = make(T, c.out, kOutput);
        dx = make(T, c.in, kOutput);
        break;
      case GradientOp::pack_norm:
        pack_norm();
        x = make(T, c.in, kInput, 3);
        out = make(T, c.in, kOutput);
        break;
      case GradientOp::embed:
      case GradientOp::embed_backward:
      case GradientOp::gather_rows_backward:
        x = make(c.out, c.in, kInput);  // the table, or the gradient that grows
        dy = out = make(T, c.in, kUpper);
        for (int64_t t = 0; t < T; ++t) {
          rows.push_back(spread(t, c.out));
          // Neighbours that share an id meet in one vector, too.
          ids.push_back(static_cast<int32_t>(spread(t / 2, c.out)));
        }
        break;
      case GradientOp::attention:
      case GradientOp::attention_backward:
        // Scores of about 1: where softmax saturates, gradients cancel to nothing.
        x = make(T, 3 * c.in, kInput, 2);
        out = make(T, c.in, kOutput);
        log_sums = make(T, c.heads, kOutput);
        dy = make(T, c.in, kUpper);
        dx = make(T, 3 * c.in, kOutput);
        if (c.op == GradientOp::attention) break;
        g().attention(x, starts, c.spec, c.heads, out, log_sums);
        break;
      case GradientOp::gate:
      case GradientOp::gate_backward:
        x = make(T, 2 * c.in, kInput, 4);
        dy = make(T, c.in, kUpper);
        out = make(T, c.in, kOutput);
        dx = make(T, 2 * c.in, kOutput);
        break;
      case GradientOp::activate:
      case GradientOp::activate_backward:
        x = make(T, c.in, kInput, 4);
        dy = make(T, c.in, kUpper);
        out = c.in_place ? x : make(T, c.in, kOutput);
        dx = c.in_place ? dy : make(T, c.in, kOutput);
        break;
      case GradientOp::dropout:
        x = make(T, c.in, kInput);
        out = c.in_place ? x : make(T, c.in, kOutput);
        for (int64_t t = 0; t < T; ++t) keys.push_back(random_bits(20, kUpper, to_size(t)));
        dropout = {c.rate, keys, 3};
        break;
      case GradientOp::linear_backward:
        pack_weight(c.out, c.in);
        dy = make(T, c.out, kUpper);
        dx = make(T, c.in, kOutput);
        break;
      case GradientOp::linear_weight_backward:
      case GradientOp::linear_bias_backward:
        if (c.norm) pack_norm();
        x = make(T, c.in, kInput, 2);
        dy = make(T, c.out, kUpper);
        d_weight = make(c.out, c.in, kOutput);
        d_bias = make(1, c.out, kOutput);
        break;
      case GradientOp::layer_norm_backward:
        pack_norm();
        x = make(T, c.in, kInput, 3);
        dy = make(T, c.in, kUpper);
        dx = c.in_place ? dy : make(T, c.in, kOutput);
        d_gain = make(1, c.in, kOutput);
        if (c.bias) d_bias = make(1, c.in, kOutput + 1);
        break;
      case GradientOp::rope_backward:
        dx = make(T, 3 * c.in, kInput);
        table = make_case_rope_table(b(), c.in / c.heads, 100);
        for (int64_t t = 0; t < T; ++t) ids.push_back(static_cast<int32_t>(spread(t, 100)));
        break;
      case GradientOp::pool_backward:
        dy = make(static_cast<int64_t>(c.lengths.size()), c.in, kUpper);
        dx = make(T, c.in, kOutput);
        break;
      case GradientOp::cross_entropy:
        pack_weight(c.out, c.in);
        x = make(T, c.in, kInput);
        for (int64_t t = 0; t < T; ++t) ids.push_back(static_cast<int32_t>(spread(t / 2, c.out)));
        losses.resize(to_size(T));
        best.resize(to_size(T));
        if (c.loss_only) break;
        dx = make(T, c.in, kOutput);
        d_weight = make(c.out, c.in, kOutput, 0.1f);
        if (c.bias) d_bias = make(1, c.out, kOutput, 0.1f);
        break;
    }
  }

  void run() {
    switch (c.op) {
      case GradientOp::pack:
        return g().pack(master, bias, &weight, &transposed);
      case GradientOp::pack_norm:
        return g().pack(gain, bias, kEps, &norm);
      case GradientOp::embed:
        return g().embed(x, ids, out);
      case GradientOp::attention:
        return g().attention(x, starts, c.spec, c.heads, out, log_sums);
      case GradientOp::gate:
        return g().gate(x, c.activation, out);
      case GradientOp::activate:
        return g().activate(x, c.activation, out);
      case GradientOp::dropout:
        return g().dropout(x, dropout, c.epilogue, out);
      case GradientOp::linear_backward:
        return b().linear(dy, transposed, Epilogue::store, Activation::identity, dx);
      case GradientOp::linear_weight_backward:
        return g().linear_weight_backward(dy, x, norm, d_weight);
      case GradientOp::linear_bias_backward:
        return g().linear_bias_backward(dy, d_bias);
      case GradientOp::layer_norm_backward:
        return g().layer_norm_backward(x, norm, dy, c.epilogue, dx, d_gain, d_bias);
      case GradientOp::gate_backward:
        return g().gate_backward(x, c.activation, dy, dx);
      case GradientOp::activate_backward:
        return g().activate_backward(x, c.activation, dy, dx);
      case GradientOp::rope_backward:
        return g().rope_backward(dx, ids, table, c.heads);
      case GradientOp::attention_backward:
        return g().attention_backward(x, starts, c.spec, c.heads, out, log_sums, dy, dx);
      case GradientOp::embed_backward:
        return g().embed_backward(dy, ids, x);
      case GradientOp::gather_rows_backward:
        return g().gather_rows_backward(dy, rows, x);
      case GradientOp::pool_backward:
        return g().pool_backward(dy, starts, c.pooling, dx);
      case GradientOp::cross_entropy:
        // Not a power of two: the order of scaling and rounding to bf16 shows.
        return g().cross_entropy({.x = x,
                                  .weight = weight,
                                  .transposed = transposed,
                                  .targets = ids,
                                  .scale = 0.3,
                                  .losses = losses,
                                  .best = best,
                                  .dx = dx,
                                  .d_weight = d_weight,
                                  .d_bias = d_bias});
    }
  }

  std::vector<GradientOutput> read() {
    switch (c.op) {
      case GradientOp::pack:
        b().linear(x, weight, Epilogue::store, Activation::identity, out);
        b().linear(dy, transposed, Epilogue::store, Activation::identity, dx);
        return collect({{"weight", out}, {"transposed", dx}});
      case GradientOp::pack_norm:
        b().layer_norm(x, norm, out);
        return collect({{"norm", out}});
      case GradientOp::embed:
      case GradientOp::gate:
      case GradientOp::activate:
      case GradientOp::dropout:
        return collect({{"out", out}});
      case GradientOp::attention:
        return collect({{"out", out}, {"log_sums", log_sums}});
      case GradientOp::linear_weight_backward:
        return collect({{"d_weight", d_weight}});
      case GradientOp::linear_bias_backward:
        return collect({{"d_bias", d_bias}});
      case GradientOp::embed_backward:
        return collect({{"d_table", x}});
      case GradientOp::gather_rows_backward:
        return collect({{"dx", x}});
      case GradientOp::attention_backward:
        return collect({{"dq", dx.slice_cols(0, c.in)},
                        {"dk", dx.slice_cols(c.in, c.in)},
                        {"dv", dx.slice_cols(2 * c.in, c.in)}});
      case GradientOp::cross_entropy: {
        auto result = c.loss_only
                          ? std::vector<GradientOutput>()
                          : collect({{"dx", dx}, {"d_weight", d_weight}, {"d_bias", d_bias}});
        result.push_back({"losses", losses});
        result.push_back({"best", {best.begin(), best.end()}});
        return result;
      }
      default:
        return collect({{"dx", dx}, {"d_gain", d_gain}, {"d_bias", d_bias}});
    }
  }

  std::vector<GradientOutput> collect(std::vector<std::pair<const char*, View>> views) const {
    std::vector<GradientOutput> result;
    for (const auto& [name, v] : views) {
      if (v.data != nullptr) result.push_back({name, read_values(b(), v)});
    }
    if (!c.strided) return result;
    double overwritten = 0;
    for (View gap : made) {
      gap.data += gap.cols * dtype_bytes(gap.dtype);
      gap.cols = kCaseGap;
      for (const double e : read_values(b(), gap)) overwritten += std::isnan(e) ? 0 : 1;
    }
    result.push_back({"gaps", {overwritten}});
    return result;
  }
};

GradientRun::GradientRun(std::shared_ptr<const Backend> backend, const GradientCase& c)
    : state_(std::make_unique<State>()) {
  ETTIN_CHECK(backend->gradients() != nullptr);
  state_->backend = std::move(backend);
  state_->c = c;
  state_->prepare();
}

GradientRun::~GradientRun() = default;

void GradientRun::run() {
  state_->run();
  if (state_->first_outputs.empty()) state_->first_outputs = state_->read();
}

const std::vector<GradientOutput>& GradientRun::outputs() const { return state_->first_outputs; }

}  // namespace ettin
