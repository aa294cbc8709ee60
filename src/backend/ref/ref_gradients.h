// The reference of training's operations: plain loops in float or double. In double it defines what
// is correct, and is itself checked against finite differences.
#pragma once

#include <memory>
#include <span>

#include "backend/gradients.h"

namespace ettin {

// Of a `ref` backend with activation type T, which must outlive the result; null where its format
// is none of fp64, fp32 and bf16. With bf16, products round both operands as the backend's linear
// does; the gradient of logits is rounded after it was multiplied by `scale`.
template <class T>
std::unique_ptr<const Gradients> make_ref_gradients(const Backend& backend);

namespace ref {

// As Gradients::attention without its `out`.
template <class T>
void attention_log_sums(ThreadPool& threads, ConstView qkv, std::span<const int64_t> starts,
                        AttentionSpec spec, int64_t heads, View log_sums);

template <class T>
void attention_backward(ThreadPool& threads, ConstView qkv, std::span<const int64_t> starts,
                        AttentionSpec spec, int64_t heads, ConstView out, ConstView log_sums,
                        ConstView dy, View d_qkv);

}  // namespace ref
}  // namespace ettin
