// Training's operations on the CPU: vector kernels (cpu/gradient_kernels.h) and the tiles of
// `linear`, cut over the thread pool.
#pragma once

#include <memory>

#include "backend/cpu/isa.h"
#include "backend/gradients.h"

namespace ettin::cpu {

// Of a backend that packs in `format`; null where it is neither f32 nor bf16. The pool must outlive
// the result.
std::unique_ptr<const Gradients> make_gradients(const IsaChoice& isa, WeightFormat format,
                                                ThreadPool& threads);

}  // namespace ettin::cpu
