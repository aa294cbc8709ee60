// One table of operations with shapes, as data. Every backend is checked against `ref` in double on
// it, and timed on it. Inputs are random but exact in float, so that all backends read the same.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"

namespace ettin {

enum class Op : uint8_t {
  embed,
  layer_norm,
  linear,
  rope,
  attention,
  kv_append,
  gather_rows,
  pool,
  l2_normalize,
  log_sum_exp,
  top_k,
};

struct OpCase {
  Op op = Op::linear;
  std::vector<int64_t> lengths;  // rows of each sequence; most operations only see their sum
  int64_t in = 64;               // columns of the input; for attention and rope: hidden size
  int64_t out = 64;              // linear: output features; top_k: k; embed: vocabulary
  int64_t heads = 1;
  bool bias = false;
  bool strided = false;  // views are columns of wider rows
  Epilogue epilogue = Epilogue::store;
  Activation activation = Activation::identity;
  Pooling pooling = Pooling::mean;
  AttentionSpec spec;
  std::vector<int64_t> past;  // attention and kv_append: cached positions per sequence, or empty
  int64_t capacity = 0;       // rows of each cache
  Dtype stored = Dtype::f32;  // element type of weights in their file
  // Bound on Difference::relative() against ref in double, for a backend that computes in fp32.
  double tolerance = 0;

  int64_t rows() const;
};

const std::vector<OpCase>& op_cases();
std::string to_string(const OpCase& c);

// One case made ready on one backend. run() may be called again and again, for timing; output() is
// what the first run wrote.
class OpRun {
 public:
  OpRun(std::shared_ptr<const Backend> backend, const OpCase& c);
  ~OpRun();

  void run();
  std::vector<double> output() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ettin
