// One table of training's operations with shapes, as data: every backend that gives Gradients is
// checked against `ref` in double on it, and timed on it. As backend/op_cases.h for the forward.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/gradients.h"

namespace ettin {

enum class GradientOp : uint8_t {
  pack,       // both forms of a matrix, refilled; read through products with them
  pack_norm,  // refilled; read through layer_norm
  embed,
  attention,
  gate,
  activate,
  dropout,
  linear_backward,  // dx = dy W: Backend::linear with a transposed weight
  linear_weight_backward,
  linear_bias_backward,
  layer_norm_backward,
  gate_backward,
  activate_backward,
  rope_backward,
  attention_backward,
  embed_backward,
  gather_rows_backward,
  pool_backward,
  cross_entropy,
};

struct GradientCase {
  GradientOp op = GradientOp::attention;
  std::vector<int64_t> lengths;  // rows of each sequence; most operations only see their sum
  int64_t in = 64;               // columns of x; attention and rope: hidden size; gate: I
  int64_t out = 64;              // linear: output features; embed, cross_entropy: vocabulary
  int64_t heads = 1;
  bool bias = false;
  bool norm = false;       // linear_weight_backward: x is normalised
  bool strided = false;    // views are columns of wider rows
  bool in_place = false;   // the output is the input, where Gradients allows it
  bool loss_only = false;  // cross_entropy without gradients
  Epilogue epilogue = Epilogue::store;
  Activation activation = Activation::gelu;
  Pooling pooling = Pooling::mean;
  AttentionSpec spec;
  double rate = 0;  // dropout
  // Bound on Difference::relative() of each output against ref in double, for a backend that
  // computes in fp32.
  double tolerance = 0;
  // The same where both pack in bf16: an operand that the operation computes may be rounded to the
  // other side, half a percent of one term.
  double bf16_tolerance() const;

  int64_t rows() const;
};

const std::vector<GradientCase>& gradient_cases();
std::string_view gradient_op_name(GradientOp op);
std::string to_string(const GradientCase& c);

struct GradientOutput {
  std::string name;  // "d_weight"; "gaps": elements between strided rows that were overwritten
  std::vector<double> values;
};

// One case made ready on one backend. run() may be called again and again, for timing; outputs()
// are what the first run wrote. Outputs that grow start from random numbers.
class GradientRun {
 public:
  // Precondition: backend->gradients() is not null.
  GradientRun(std::shared_ptr<const Backend> backend, const GradientCase& c);
  ~GradientRun();

  void run();
  const std::vector<GradientOutput>& outputs() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ettin
