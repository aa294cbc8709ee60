#include "train/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstring>

#include "base/check.h"
#include "model/weights.h"
#include "train/fixed_sum.h"

namespace ettin {
namespace {

// Chunks that one task works through: enough to be worth handing out, few enough for the last
// task of a region not to be waited for.
constexpr int64_t kTaskChunks = 16;

// Running sums of a chunk: element i belongs to sum i % kLanes. The compiler's vectors say so
// outright, where a loop over floating-point sums may not be reordered.
constexpr int64_t kLanes = 8;
template <class T>
struct LanesOf {
  using type [[gnu::vector_size(kLanes * sizeof(T))]] = T;
};
template <class T>
using Lanes = typename LanesOf<T>::type;

// *x = elements [at, at + kLanes) of `count`, 0 beyond them.
template <class T>
void load(const T* from, int64_t at, int64_t count, Lanes<T>* x) {
  if (at + kLanes <= count) {
    std::memcpy(x, from + at, sizeof(*x));
  } else {
    *x = Lanes<T>{};
    std::memcpy(x, from + at, static_cast<size_t>(count - at) * sizeof(T));
  }
}

double sum_of(const Lanes<double>& sums) {
  double lanes[kLanes];
  std::memcpy(lanes, &sums, sizeof(lanes));
  return tree_sum(lanes);
}

template <class T>
double sum_of_squares(int64_t count, const T* g) {
  Lanes<double> sums = {};
  for (int64_t i = 0; i < count; i += kLanes) {
    Lanes<T> gi;
    load(g, i, count, &gi);
    const auto x = __builtin_convertvector(gi, Lanes<double>);
    sums += x * x;
  }
  return sum_of(sums);
}

struct Task {
  size_t tensor = 0;
  int64_t first_chunk = 0, chunks = 0;  // of the tensor
  int64_t partial = 0;                  // where its sums go, among those of all tensors
};

struct Tasks {
  std::vector<Task> list;
  std::vector<int64_t> first_partial;  // [tensors + 1]
};

Tasks make_tasks(std::span<const OptimizedTensor> tensors) {
  Tasks tasks;
  tasks.first_partial.push_back(0);
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t chunks = sum_chunks(tensors[i].count), base = tasks.first_partial.back();
    for (int64_t at = 0; at < chunks; at += kTaskChunks) {
      tasks.list.push_back({i, at, std::min(kTaskChunks, chunks - at), base + at});
    }
    tasks.first_partial.push_back(base + chunks);
  }
  return tasks;
}

// Calls fn(tensor, first element, elements, number of the sum) for each chunk, on all threads.
template <class Fn>
void for_each_chunk(const Tasks& tasks, std::span<const OptimizedTensor> tensors,
                    ThreadPool& threads, Fn&& fn) {
  threads.parallel_for(static_cast<int64_t>(tasks.list.size()), [&](int64_t index, int) {
    const Task& task = tasks.list[static_cast<size_t>(index)];
    const int64_t elements = tensors[task.tensor].count;
    for (int64_t c = 0; c < task.chunks; ++c) {
      const int64_t first = (task.first_chunk + c) * kSumChunk;
      fn(task.tensor, first, std::min(kSumChunk, elements - first),
         static_cast<size_t>(task.partial + c));
    }
  });
}

// b(t); with 1 - b(t) worked out without cancellation.
struct Beta {
  double kept = 0, taken = 1;
};
Beta debiased(double b, int64_t t) {
  const double before = std::pow(b, static_cast<double>(t - 1)), now = before * b;
  return {b * (1 - before) / (1 - now), (1 - b) / (1 - now)};
}

template <class T>
struct Coefficients {
  T scale, taken1, kept2, taken2, eps, eps_squared;
};

// m and v of a chunk; returns its sum of g^2 / max(v, eps^2).
template <class T>
double update_moments(const Coefficients<T>& c, int64_t count, const T* __restrict g,
                      T* __restrict m, T* __restrict v) {
  for (int64_t i = 0; i < count; ++i) {
    const T gi = c.scale * g[i];
    m[i] += c.taken1 * (gi - m[i]);
    v[i] = c.kept2 * v[i] + c.taken2 * (gi * gi);
  }
  Lanes<double> sums = {};
  const Lanes<T> least = Lanes<T>{} + c.eps_squared;
  for (int64_t i = 0; i < count; i += kLanes) {
    Lanes<T> gi, vi;
    load(g, i, count, &gi);
    load<T>(v, i, count, &vi);
    gi *= c.scale;
    sums += __builtin_convertvector(gi * gi / (vi > least ? vi : least), Lanes<double>);
  }
  return sum_of(sums);
}

template <class T>
void update_values(T keep, T eta, T eps, int64_t count, const T* __restrict m,
                   const T* __restrict v, T* __restrict p) {
  for (int64_t i = 0; i < count; ++i) {
    p[i] = p[i] * keep - eta * m[i] / (std::sqrt(v[i]) + eps);
  }
}

template <class T>
T* elements(std::byte* data, int64_t first) {
  return reinterpret_cast<T*>(data) + first;
}
template <class T>
const T* elements(const std::byte* data, int64_t first) {
  return reinterpret_cast<const T*>(data) + first;
}

template <class T>
double norm_of(std::span<const OptimizedTensor> tensors, ThreadPool& threads) {
  const Tasks tasks = make_tasks(tensors);
  std::vector<double> partial(static_cast<size_t>(tasks.first_partial.back()));
  for_each_chunk(
      tasks, tensors, threads, [&](size_t tensor, int64_t first, int64_t count, size_t sum) {
        partial[sum] = sum_of_squares(count, elements<T>(tensors[tensor].gradient, first));
      });
  return std::sqrt(tree_sum(partial));
}

template <class T>
std::vector<double> step_of(const OptimizerRecipe& recipe, const OptimizerStep& step,
                            std::span<const OptimizedTensor> tensors, ThreadPool& threads) {
  const Beta beta1 = debiased(recipe.beta1, step.number);
  const Beta beta2 = debiased(recipe.beta2, step.number);
  const Coefficients<T> c{
      static_cast<T>(step.gradient_scale), static_cast<T>(beta1.taken),
      static_cast<T>(beta2.kept),          static_cast<T>(beta2.taken),
      static_cast<T>(recipe.eps),          static_cast<T>(recipe.eps * recipe.eps)};
  const Tasks tasks = make_tasks(tensors);
  std::vector<double> partial(static_cast<size_t>(tasks.first_partial.back()));
  for_each_chunk(
      tasks, tensors, threads, [&](size_t tensor, int64_t first, int64_t count, size_t sum) {
        const OptimizedTensor& x = tensors[tensor];
        partial[sum] =
            update_moments<T>(c, count, elements<T>(x.gradient, first),
                              elements<T>(x.moment1, first), elements<T>(x.moment2, first));
      });
  std::vector<double> r(tensors.size(), 1.0);
  std::vector<T> keep(tensors.size()), eta(tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    if (recipe.kind == OptimizerKind::stable_adamw) {
      const int64_t first = tasks.first_partial[i], last = tasks.first_partial[i + 1];
      const double sum = tree_sum(std::span(partial).subspan(static_cast<size_t>(first),
                                                             static_cast<size_t>(last - first)));
      r[i] = std::sqrt(sum / static_cast<double>(tensors[i].count));
    }
    const double lr = step.learning_rate / std::max(1.0, r[i]);
    eta[i] = static_cast<T>(lr);
    keep[i] = static_cast<T>(tensors[i].decays ? 1 - lr / step.peak * recipe.weight_decay : 1);
  }
  for_each_chunk(tasks, tensors, threads, [&](size_t tensor, int64_t first, int64_t count, size_t) {
    const OptimizedTensor& x = tensors[tensor];
    update_values<T>(keep[tensor], eta[tensor], c.eps, count, elements<T>(x.moment1, first),
                     elements<T>(x.moment2, first), elements<T>(x.value, first));
  });
  return r;
}

}  // namespace

double tree_sum(std::span<double> partial) {
  size_t n = partial.size();
  if (n == 0) return 0;
  for (; n > 1; n = (n + 1) / 2) {
    for (size_t i = 0; i < n / 2; ++i) partial[i] = partial[2 * i] + partial[2 * i + 1];
    if (n % 2 != 0) partial[n / 2] = partial[n - 1];
  }
  return partial[0];
}

std::vector<OptimizedTensor> optimized_tensors(const ModelConfig& config, Parameters* values,
                                               const Parameters& gradients, Parameters* moment1,
                                               Parameters* moment2) {
  ETTIN_CHECK(values->dtype == gradients.dtype && values->dtype == moment1->dtype &&
              values->dtype == moment2->dtype);
  std::vector<OptimizedTensor> tensors;
  const auto add = [&](std::string name, bool decays, const View& value, const View& gradient,
                       const View& m, const View& v) {
    const int64_t count = value.rows * value.cols;
    ETTIN_CHECK(value.stride == value.cols && gradient.rows * gradient.cols == count &&
                m.rows * m.cols == count && v.rows * v.cols == count);
    tensors.push_back({std::move(name), count, decays, value.data, gradient.data, m.data, v.data});
  };
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, const Parameter& value, const Parameter& gradient,
          const Parameter& m, const Parameter& v) {
        if (!spec.tied) {
          add(spec.name + ".weight", !spec.is_norm, value.weight, gradient.weight, m.weight,
              v.weight);
        }
        if (spec.bias) add(spec.name + ".bias", false, value.bias, gradient.bias, m.bias, v.bias);
      },
      *values, gradients, *moment1, *moment2);
  return tensors;
}

double gradient_norm(Dtype dtype, std::span<const OptimizedTensor> tensors, ThreadPool& threads) {
  ETTIN_CHECK(dtype == Dtype::f32 || dtype == Dtype::f64);
  return dtype == Dtype::f32 ? norm_of<float>(tensors, threads) : norm_of<double>(tensors, threads);
}

double clip_factor(const OptimizerRecipe& recipe, double norm) {
  return recipe.clip_norm && norm > *recipe.clip_norm ? *recipe.clip_norm / norm : 1;
}

std::vector<double> optimizer_step(Dtype dtype, const OptimizerRecipe& recipe,
                                   const OptimizerStep& step,
                                   std::span<const OptimizedTensor> tensors, ThreadPool& threads) {
  ETTIN_CHECK(dtype == Dtype::f32 || dtype == Dtype::f64);
  ETTIN_CHECK(step.number >= 1 && step.peak > 0);
  return dtype == Dtype::f32 ? step_of<float>(recipe, step, tensors, threads)
                             : step_of<double>(recipe, step, tensors, threads);
}

}  // namespace ettin
