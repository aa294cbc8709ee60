// The reference backend: plain loops in float or double. In double it defines what is correct.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace ettin {

// dtype: of activations and sums, Dtype::f32 or Dtype::f64. `format` and `exact_activations` as in
// BackendOptions: matrices and rows are rounded as they say and then multiplied in `dtype`.
std::shared_ptr<const Backend> make_ref_backend(Dtype dtype, WeightFormat format,
                                                bool exact_activations, int threads,
                                                bool one_scale = false);

}  // namespace ettin
