// NumPy's .npy file, written only: float32, row-major, version 1.0.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "ettin/status.h"

namespace ettin {

// Complete or absent. `values` holds the product of `shape`.
Status write_npy(const std::string& path, std::span<const float> values,
                 std::span<const uint64_t> shape);

}  // namespace ettin
