#include "tensor/dtype.h"

#include <array>

#include "base/check.h"

namespace ettin {
namespace {

constexpr std::array<DtypeInfo, 10> kTable{{
    {Dtype::f64, "fp64", "F64", 8, true},
    {Dtype::f32, "fp32", "F32", 4, true},
    {Dtype::f16, "fp16", "F16", 2, true},
    {Dtype::bf16, "bf16", "BF16", 2, true},
    {Dtype::i64, "int64", "I64", 8, false},
    {Dtype::i32, "int32", "I32", 4, false},
    {Dtype::i16, "int16", "I16", 2, false},
    {Dtype::i8, "int8", "I8", 1, false},
    {Dtype::u8, "uint8", "U8", 1, false},
    {Dtype::boolean, "bool", "BOOL", 1, false},
}};

constexpr bool table_follows_enum() {
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].dtype != static_cast<Dtype>(i)) return false;
  }
  return true;
}
static_assert(table_follows_enum());

}  // namespace

const DtypeInfo& dtype_info(Dtype dtype) {
  const auto index = static_cast<size_t>(dtype);
  ETTIN_CHECK(index < kTable.size());
  return kTable[index];
}

std::optional<Dtype> dtype_from_safetensors(std::string_view name) {
  for (const DtypeInfo& info : kTable) {
    if (info.safetensors_name == name) return info.dtype;
  }
  return std::nullopt;
}

}  // namespace ettin
