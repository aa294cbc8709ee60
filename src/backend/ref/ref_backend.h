// The reference backend: plain loops in float or double. In double it defines what is correct.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace ettin {

// dtype: Dtype::f32 or Dtype::f64.
std::shared_ptr<const Backend> make_ref_backend(Dtype dtype, int threads);

}  // namespace ettin
