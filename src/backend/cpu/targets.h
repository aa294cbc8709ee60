// Which instruction sets the kernels are compiled for; include before any Highway header.
#pragma once

// SSSE3 without SSE4 is Core 2 of 2006: not worth its compile time, EMU128 serves it. Vectors of
// SVE have no size at compile time, so they cannot be held in arrays as the tiles do: NEON serves
// them.
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
