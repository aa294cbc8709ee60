// The CPU backend: vector kernels through Highway, dispatched once when it is made.
#pragma once

#include <memory>

#include "backend/backend.h"

namespace ettin {

// Environment: ETTIN_ISA = avx3 | avx2 | sse4 | neon | emu128 | scalar is an upper limit of the
// instruction set (for tests). Error when it names none of the sets in this build.
Result<std::shared_ptr<const Backend>> make_cpu_backend(const BackendOptions& options);

}  // namespace ettin
