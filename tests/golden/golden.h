// Where the goldens lie, and how far from them a result may be.
#pragma once

#include <string>

#include <gtest/gtest.h>

#include "base/file.h"
#include "base/json.h"
#include "tensor/compare.h"
#include "tensor/dtype.h"

// Skips the test, in words, where the shared data is absent.
#define ETTIN_NEED_SHARED(path)                                             \
  if (!::ettin::file_exists(std::string(ETTIN_SHARED_DIR "/") + (path))) {  \
    GTEST_SKIP() << "SKIPPED: " << (path) << " is not here (no ../shared)"; \
  }

namespace ettin::test {

// Largest error over largest magnitude. In double only the order of summation differs.
inline double golden_bound(Dtype dtype) { return dtype == Dtype::f64 ? 1e-12 : 1e-5; }

inline Json must_read_json(const std::string& path) {
  Result<Json> json = parse_json_file(path);
  EXPECT_TRUE(json.ok()) << json.status().to_string();
  return *std::move(json);
}

inline std::vector<double> to_doubles(const Json& list) { return list.get<std::vector<double>>(); }

}  // namespace ettin::test
