// Backends that the tests run on.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/isa.h"

namespace ettin {

inline std::shared_ptr<const Backend> must_make(BackendOptions options) {
  auto backend = make_backend(options);
  EXPECT_TRUE(backend.ok()) << backend.status().to_string();
  return *backend;
}

// The instruction sets that this machine has, the best first. Under the thread sanitizer only that
// one: how work is shared between threads is the same for all.
inline std::vector<cpu::IsaChoice> tested_isas() {
  std::vector<cpu::IsaChoice> isas = cpu::available_isas();
#if defined(__SANITIZE_THREAD__)
  isas.resize(1);
#endif
  return isas;
}

// The CPU backend once for each of them.
inline std::vector<std::shared_ptr<const Backend>> cpu_backends(
    int threads, WeightFormat format = WeightFormat::f32, bool exact_activations = false) {
  std::vector<std::shared_ptr<const Backend>> result;
  for (const cpu::IsaChoice& isa : tested_isas()) {
    ::setenv("ETTIN_ISA", std::string(isa.name).c_str(), 1);
    result.push_back(must_make({.name = "cpu",
                                .format = format,
                                .exact_activations = exact_activations,
                                .threads = threads}));
  }
  ::unsetenv("ETTIN_ISA");
  return result;
}

}  // namespace ettin
