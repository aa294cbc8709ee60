// Element types of stored and computed tensors: one table, looked up by enum or by name.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ettin {

enum class Dtype : uint8_t { f64, f32, f16, bf16, i64, i32, i16, i8, u8, boolean };

struct DtypeInfo {
  Dtype dtype;
  std::string_view name;  // ours, and what --dtype and --json print: "fp32", "bf16", ...
  std::string_view safetensors_name;  // "F32", "BF16", ...
  uint32_t bytes;                     // per element
  bool floating;
};

const DtypeInfo& dtype_info(Dtype dtype);
inline uint32_t dtype_bytes(Dtype dtype) { return dtype_info(dtype).bytes; }
inline std::string_view dtype_name(Dtype dtype) { return dtype_info(dtype).name; }

std::optional<Dtype> dtype_from_safetensors(std::string_view name);

}  // namespace ettin
