// Runs one OpCase on one backend.
#include <cmath>
#include <cstring>

#include "backend/case_data.h"
#include "backend/op_cases.h"
#include "base/half.h"

namespace ettin {
namespace {

// Streams of the random numbers of one case.
enum Stream : uint64_t { kInput = 1, kWeight, kBias, kOutput, kKeys, kValues };

// A tensor as a file would hold it, with values in [-1, 1).
struct FileTensor {
  std::vector<std::byte> bytes;
  StoredTensor tensor;

  FileTensor(uint64_t stream, std::vector<uint64_t> shape, Dtype dtype) {
    tensor.name = "random";
    tensor.dtype = dtype;
    tensor.shape = std::move(shape);
    const auto n = static_cast<size_t>(tensor.element_count());
    bytes.resize(n * dtype_bytes(dtype));
    for (size_t i = 0; i < n; ++i) {
      const float x = draw(stream, static_cast<int64_t>(i));
      std::byte* to = bytes.data() + i * dtype_bytes(dtype);
      if (dtype == Dtype::f64) {
        const double wide = static_cast<double>(x);
        std::memcpy(to, &wide, sizeof wide);
      } else if (dtype == Dtype::f32) {
        std::memcpy(to, &x, sizeof x);
      } else {
        // The upper half of a float is a bf16; read as f16 it may be huge, so f16 takes 1 + x / 8.
        uint32_t bits;
        std::memcpy(&bits, &x, sizeof bits);
        const auto half = static_cast<uint16_t>(
            dtype == Dtype::bf16 ? bits >> 16 : 0x3c00u | (bits >> 12 & 0x3ffu));
        std::memcpy(to, &half, sizeof half);
      }
    }
    tensor.bytes = bytes;
  }
};

}  // namespace

struct OpRun::State {
  std::shared_ptr<const Backend> backend;
  OpCase c;
  Arena arena;
  std::vector<int64_t> starts = {0};
  View in, out;
  LinearWeight weight;
  NormWeight norm;
  RopeTable table;
  std::vector<int32_t> ids;
  std::vector<int64_t> rows;
  std::vector<KvView> caches;
  std::vector<double> numbers;
  std::vector<TokenLogit> best;
  std::vector<double> first_output;

  const Backend& b() const { return *backend; }

  View make(int64_t row_count, int64_t cols, uint64_t stream, float scale = 1) {
    return make_random(b(), arena, row_count, cols, c.strided, stream, scale);
  }

  // Cached rows in the type that the backend keeps them in.
  View make_cache(uint64_t stream) {
    const View wide = make(c.capacity, c.in, stream, 4);
    if (b().cache_dtype() != Dtype::bf16) return wide;
    auto* data = arena.allocate_array<uint16_t>(c.capacity * wide.stride);
    const View narrow = {reinterpret_cast<std::byte*>(data), Dtype::bf16, c.capacity, c.in,
                         wide.stride};
    for (int64_t r = 0; r < c.capacity; ++r) {
      for (int64_t k = 0; k < c.in; ++k) {
        narrow.row<uint16_t>(r)[k] = float_to_bf16(wide.row<float>(r)[k]);
      }
    }
    return narrow;
  }

  void prepare() {
    for (const int64_t n : c.lengths) starts.push_back(starts.back() + n);
    const int64_t T = c.rows();
    const auto u = [](int64_t n) { return static_cast<uint64_t>(n); };
    const auto id_of = [](int64_t t, int64_t n) { return (t * 7919 + 3) % n; };
    switch (c.op) {
      case Op::linear: {
        in = make(T, c.in, kInput);
        out = make(T, c.epilogue == Epilogue::gated ? c.out / 2 : c.out, kOutput);
        // Two blocks, as q, k and v come from three tensors.
        const int64_t upper = c.out / 3;
        const FileTensor w1(kWeight, {u(upper), u(c.in)}, c.stored);
        const FileTensor w2(kWeight + 100, {u(c.out - upper), u(c.in)}, c.stored);
        const FileTensor bias(kBias, {u(c.out)}, c.stored);
        MatrixSource source{{&w1.tensor, &w2.tensor}, {}};
        if (c.bias) source.bias_blocks = {&bias.tensor};
        weight = b().pack_matrix(
            source, c.epilogue == Epilogue::gated ? MatrixUse::gated : MatrixUse::linear);
        break;
      }
      case Op::embed: {
        const FileTensor w(kWeight, {u(c.out), u(c.in)}, Dtype::f32);
        weight = b().pack_matrix({{&w.tensor}, {}}, MatrixUse::embedding);
        for (int64_t t = 0; t < T; ++t) ids.push_back(static_cast<int32_t>(id_of(t, c.out)));
        out = make(T, c.in, kOutput);
        break;
      }
      case Op::layer_norm: {
        const FileTensor gain(kWeight, {u(c.in)}, Dtype::f32), bias(kBias, {u(c.in)}, Dtype::f32);
        norm = b().pack_norm(gain.tensor, c.bias ? &bias.tensor : nullptr, 1e-5);
        in = make(T, c.in, kInput, 3);
        out = c.bias ? in : make(T, c.in, kOutput);  // in place, too
        break;
      }
      case Op::rope:
        in = out = make(T, 3 * c.in, kInput);
        table = make_case_rope_table(b(), c.in / c.heads, 100);
        for (int64_t t = 0; t < T; ++t) ids.push_back(static_cast<int32_t>(id_of(t, 100)));
        break;
      case Op::attention:
      case Op::kv_append:
        in = make(T, 3 * c.in, kInput, 4);
        for (size_t n = 0; n < c.past.size(); ++n) {
          caches.push_back({make_cache(kKeys + 10 * n), make_cache(kValues + 10 * n), c.past[n]});
        }
        out = make(T, c.in, kOutput);
        break;
      case Op::gather_rows:
        in = make(c.out, c.in, kInput);
        out = make(T, c.in, kOutput);
        for (int64_t t = 0; t < T; ++t) rows.push_back(id_of(t, c.out));
        break;
      case Op::pool:
        in = make(T, c.in, kInput);
        out = make(static_cast<int64_t>(c.lengths.size()), c.in, kOutput);
        break;
      case Op::l2_normalize:
        in = out = make(T, c.in, kInput);
        break;
      case Op::log_sum_exp:
      case Op::top_k:
        in = make(T, c.in, kInput, 9);
        for (int64_t t = 0; t < T; ++t) {  // ties and extremes
          set_element(in, t, 0, 2.5);
          set_element(in, t, c.in - 1, 2.5);
          if (c.in > 4) set_element(in, t, 2, -static_cast<double>(INFINITY));
        }
        numbers.resize(to_size(T));
        best.resize(to_size(T * c.out));
        break;
    }
  }

  void run() {
    switch (c.op) {
      case Op::embed:
        return b().embed(weight, ids, out);
      case Op::layer_norm:
        return b().layer_norm(in, norm, out);
      case Op::linear:
        return b().linear(in, weight, c.epilogue, c.activation, out);
      case Op::rope:
        return b().rope(in, ids, table, c.heads);
      case Op::attention:
        return b().attention(in, starts, c.spec, c.heads, caches, out);
      case Op::kv_append:
        return b().kv_append(in, starts, caches);
      case Op::gather_rows:
        return b().gather_rows(in, rows, out);
      case Op::pool:
        return b().pool(in, starts, c.pooling, out);
      case Op::l2_normalize:
        return b().l2_normalize(in);
      case Op::log_sum_exp:
        return b().log_sum_exp(in, numbers);
      case Op::top_k:
        return b().top_k(in, c.out, best);
    }
  }

  void append(std::vector<double>& to, ConstView v) const {
    std::vector<double> values;
    if (v.dtype == Dtype::bf16) {
      for (int64_t i = 0; i < v.rows * v.cols; ++i) {
        const uint16_t bits = v.row<uint16_t>(i / v.cols)[i % v.cols];
        values.push_back(static_cast<double>(bf16_to_float(bits)));
      }
    } else {
      values = read_values(b(), v);
    }
    to.insert(to.end(), values.begin(), values.end());
  }

  std::vector<double> read() const {
    if (c.op == Op::log_sum_exp) return numbers;
    std::vector<double> result;
    if (c.op == Op::top_k) {
      for (const TokenLogit& t : best) {
        result.push_back(static_cast<double>(t.id));
        if (std::isfinite(t.logit)) result.push_back(t.logit);
      }
    } else if (c.op == Op::kv_append) {
      for (const KvView& cache : caches) {
        append(result, cache.keys);
        append(result, cache.values);
      }
    } else {
      append(result, out);
    }
    return result;
  }
};

OpRun::OpRun(std::shared_ptr<const Backend> backend, const OpCase& c)
    : state_(std::make_unique<State>()) {
  state_->backend = std::move(backend);
  state_->c = c;
  state_->prepare();
}

OpRun::~OpRun() = default;

void OpRun::run() {
  state_->run();
  if (state_->first_output.empty()) state_->first_output = state_->read();
}

std::vector<double> OpRun::output() const { return state_->first_output; }

}  // namespace ettin
