#include "peak_kernels.h"

// Inline assembly, because compilers add register moves to loops of intrinsics, and these take
// issue slots: half of the vpdpbusd rate is lost that way. Independent accumulators hide the
// latency: latency times instructions per cycle is at most 10 on the processors of today.

namespace ettin::cli {
namespace {

#if defined(__x86_64__)

// 16 accumulators, 12 where there are 16 registers; zeros as operands, times do not depend on them.
#define ETTIN_LOOP_512(OPERATION)                                                           \
  asm volatile(                                                                             \
      "vpxord %%zmm0, %%zmm0, %%zmm0\n"                                                     \
      ".irp i, 8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n"                             \
      "vpxord %%zmm\\i, %%zmm\\i, %%zmm\\i\n"                                               \
      ".endr\n"                                                                             \
      "1:\n"                                                                                \
      ".irp i, 8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n" OPERATION                   \
      " %%zmm0, %%zmm0, %%zmm\\i\n"                                                         \
      ".endr\n"                                                                             \
      "dec %0\n"                                                                            \
      "jnz 1b\n"                                                                            \
      : "+r"(turns)                                                                         \
      :                                                                                     \
      : "cc", "zmm0", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15", \
        "zmm16", "zmm17", "zmm18", "zmm19", "zmm20", "zmm21", "zmm22", "zmm23")
#define ETTIN_LOOP_256(OPERATION)                                                                \
  asm volatile(                                                                                  \
      "vxorps %%ymm0, %%ymm0, %%ymm0\n"                                                          \
      ".irp i, 4,5,6,7,8,9,10,11,12,13,14,15\n"                                                  \
      "vxorps %%ymm\\i, %%ymm\\i, %%ymm\\i\n"                                                    \
      ".endr\n"                                                                                  \
      "1:\n"                                                                                     \
      ".irp i, 4,5,6,7,8,9,10,11,12,13,14,15\n" OPERATION                                        \
      " %%ymm0, %%ymm0, %%ymm\\i\n"                                                              \
      ".endr\n"                                                                                  \
      "dec %0\n"                                                                                 \
      "jnz 1b\n"                                                                                 \
      : "+r"(turns)                                                                              \
      :                                                                                          \
      : "cc", "ymm0", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", \
        "ymm13", "ymm14", "ymm15")

__attribute__((target("avx512f"))) void fma_512(int64_t turns) { ETTIN_LOOP_512("vfmadd231ps"); }
__attribute__((target("avx512f"))) void bf16_512(int64_t turns) { ETTIN_LOOP_512("vdpbf16ps"); }
__attribute__((target("avx512f"))) void int8_512(int64_t turns) { ETTIN_LOOP_512("vpdpbusd"); }
__attribute__((target("avx2,fma"))) void fma_256(int64_t turns) { ETTIN_LOOP_256("vfmadd231ps"); }
__attribute__((target("avx2"))) void int8_256(int64_t turns) { ETTIN_LOOP_256("%{vex%} vpdpbusd"); }

// One load of a line is enough; the prefetch keeps more lines on their way than loads alone do.
__attribute__((target("avx512f"))) void read_512(const std::byte* from, size_t bytes) {
  const std::byte* const end = from + bytes;
  for (; from < end; from += 512) {
    asm volatile(
        "prefetcht0 4096(%0)\n prefetcht0 4160(%0)\n prefetcht0 4224(%0)\n prefetcht0 4288(%0)\n"
        "prefetcht0 4352(%0)\n prefetcht0 4416(%0)\n prefetcht0 4480(%0)\n prefetcht0 4544(%0)\n"
        "vmovaps (%0), %%zmm8\n vmovaps 64(%0), %%zmm9\n"
        "vmovaps 128(%0), %%zmm10\n vmovaps 192(%0), %%zmm11\n"
        "vmovaps 256(%0), %%zmm12\n vmovaps 320(%0), %%zmm13\n"
        "vmovaps 384(%0), %%zmm14\n vmovaps 448(%0), %%zmm15\n"
        :
        : "r"(from)
        : "memory", "zmm8", "zmm9", "zmm10", "zmm11", "zmm12", "zmm13", "zmm14", "zmm15");
  }
}

__attribute__((target("avx2"))) void read_256(const std::byte* from, size_t bytes) {
  const std::byte* const end = from + bytes;
  for (; from < end; from += 256) {
    asm volatile(
        "prefetcht0 4096(%0)\n prefetcht0 4160(%0)\n prefetcht0 4224(%0)\n prefetcht0 4288(%0)\n"
        "vmovaps (%0), %%ymm8\n vmovaps 32(%0), %%ymm9\n"
        "vmovaps 64(%0), %%ymm10\n vmovaps 96(%0), %%ymm11\n"
        "vmovaps 128(%0), %%ymm12\n vmovaps 160(%0), %%ymm13\n"
        "vmovaps 192(%0), %%ymm14\n vmovaps 224(%0), %%ymm15\n"
        :
        : "r"(from)
        : "memory", "ymm8", "ymm9", "ymm10", "ymm11", "ymm12", "ymm13", "ymm14", "ymm15");
  }
}

#elif defined(__aarch64__)

void fma_neon(int64_t turns) {
  asm volatile(
      "movi v0.4s, #0\n"
      ".irp i, 8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n"
      "movi v\\i\\().4s, #0\n"
      ".endr\n"
      "1:\n"
      ".irp i, 8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23\n"
      "fmla v\\i\\().4s, v0.4s, v0.4s\n"
      ".endr\n"
      "subs %0, %0, #1\n"
      "b.ne 1b\n"
      : "+r"(turns)
      :
      : "cc", "v0", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18",
        "v19", "v20", "v21", "v22", "v23");
}

#endif

void read_plain(const std::byte* from, size_t bytes) {
  const auto* words = reinterpret_cast<const volatile uint64_t*>(from);
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) static_cast<void>(words[i]);
}

}  // namespace

std::vector<MultiplyKernel> multiply_kernels() {
  std::vector<MultiplyKernel> kernels;
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) {
    kernels.push_back({"fp32", "vfmadd231ps zmm", 16 * 2 * 16, fma_512});
  } else if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) {
    kernels.push_back({"fp32", "vfmadd231ps ymm", 12 * 2 * 8, fma_256});
  }
  if (__builtin_cpu_supports("avx512bf16")) {
    kernels.push_back({"bf16", "vdpbf16ps zmm", 16 * 2 * 32, bf16_512});
  }
  if (__builtin_cpu_supports("avx512vnni")) {
    kernels.push_back({"int8", "vpdpbusd zmm", 16 * 2 * 64, int8_512});
  } else if (__builtin_cpu_supports("avxvnni")) {
    kernels.push_back({"int8", "vpdpbusd ymm", 12 * 2 * 32, int8_256});
  }
#elif defined(__aarch64__)
  kernels.push_back({"fp32", "fmla 4s", 16 * 2 * 4, fma_neon});
#endif
  return kernels;
}

ReadKernel read_kernel() {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f")) return read_512;
  if (__builtin_cpu_supports("avx2")) return read_256;
#endif
  return read_plain;
}

}  // namespace ettin::cli
