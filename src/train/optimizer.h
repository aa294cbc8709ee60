// StableAdamW and decoupled AdamW. Steps are numbered from t = 1; the moments are kept debiased, by
// betas that change with t (Optimi's form):
//
//   b(t) = b (1 - b^(t-1)) / (1 - b^t)                       so b(1) = 0
//   m   <- m + (1 - b1(t)) (g - m)
//   v   <- b2(t) v + (1 - b2(t)) g^2
//   r    = sqrt(mean over the tensor of g^2 / max(v, eps^2))    v as just updated; AdamW: r = 1
//   eta  = lr / max(1, r)
//   p   <- p (1 - (eta / peak) wd)                           matrices only
//   p   <- p - eta m / (sqrt(v) + eps)
//
// which for r = 1 are Kingma and Ba's m / (1 - b1^t) and v / (1 - b2^t) (Adam, 2015) with the decay
// of Loshchilov and Hutter (2019), as a share per step at the peak. Clipping by r: Shazeer and
// Stern (Adafactor, 2018), Wortsman et al. (2023). Source of the whole: ModernBERT's optimizer.py.
//
// Elements are of type T of the parameters, float or double; the mean and the norm are summed in
// double by train/fixed_sum.h, so no bit depends on the number of threads.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "model/parameters.h"
#include "train/recipe.h"

namespace ettin {

// One tensor of the model, all four numbers of each parameter. A weight and its bias are two.
struct OptimizedTensor {
  std::string name;  // of the TensorSpec, with ".weight" or ".bias"
  int64_t count = 0;
  bool decays = false;  // a matrix; not a bias or a norm's gain
  std::byte* value = nullptr;
  const std::byte* gradient = nullptr;
  std::byte* moment1 = nullptr;
  std::byte* moment2 = nullptr;
};

// In the order of for_each_tensor, a tied matrix once. Preconditions: all four were made by
// make_parameters of `config` with one type; they outlive what is returned.
std::vector<OptimizedTensor> optimized_tensors(const ModelConfig& config, Parameters* values,
                                               const Parameters& gradients, Parameters* moment1,
                                               Parameters* moment2);

// L2 norm of all gradients together; NaN or infinite when, and only when, one of them is.
double gradient_norm(Dtype dtype, std::span<const OptimizedTensor> tensors, ThreadPool& threads);

// What gradients are multiplied by so that their norm is at most clip_norm: 1 or less.
// Precondition: the norm is finite.
double clip_factor(const OptimizerRecipe& recipe, double norm);

struct OptimizerStep {
  int64_t number = 1;         // t: updates since the moments were zero, this one included
  double learning_rate = 0;   // lr
  double peak = 0;            // the peak that weight decay refers to: weight_decay_peak()
  double gradient_scale = 1;  // g is this times what is stored: clip_factor
};

// Updates values and moments. Returns r of each tensor (1 for AdamW).
std::vector<double> optimizer_step(Dtype dtype, const OptimizerRecipe& recipe,
                                   const OptimizerStep& step,
                                   std::span<const OptimizedTensor> tensors, ThreadPool& threads);

}  // namespace ettin
