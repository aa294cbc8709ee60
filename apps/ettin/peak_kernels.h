// The fastest multiply-accumulate and read loops that this machine can run: what a peak probe
// times. Chosen at run time; a kind that the machine has no instruction for is not in the list.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace ettin::cli {

struct MultiplyKernel {
  std::string_view metric;       // "fp32", "bf16", "int8"
  std::string_view instruction;  // what the loop is made of
  double operations;             // of one turn; a multiply-add counts two
  void (*run)(int64_t turns);
};

std::vector<MultiplyKernel> multiply_kernels();

// Reads `bytes` (a multiple of 512) from `from`, 64-byte aligned.
using ReadKernel = void (*)(const std::byte* from, size_t bytes);
ReadKernel read_kernel();

}  // namespace ettin::cli
