// Which instruction sets the kernels are compiled for; include before any Highway header.
#pragma once

// SSSE3 without SSE4 is Core 2 of 2006: not worth its compile time, EMU128 serves it.
#define HWY_DISABLED_TARGETS HWY_SSSE3
