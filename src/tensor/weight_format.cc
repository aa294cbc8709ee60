#include "tensor/weight_format.h"

#include <array>

namespace ettin {
namespace {

struct Row {
  std::string_view name;
  double bits;
};

constexpr std::array<Row, 5> kTable{
    {{"fp64", 64}, {"fp32", 32}, {"bf16", 16}, {"q8", 8}, {"q4", 4.5}}};

}  // namespace

std::string_view format_name(WeightFormat format) {
  return kTable[static_cast<size_t>(format)].name;
}

std::optional<WeightFormat> format_from_name(std::string_view name) {
  if (name == "int8") return WeightFormat::q8;
  for (size_t i = 0; i < kTable.size(); ++i) {
    if (kTable[i].name == name) return static_cast<WeightFormat>(i);
  }
  return std::nullopt;
}

double bits_per_weight(WeightFormat format) { return kTable[static_cast<size_t>(format)].bits; }

}  // namespace ettin
