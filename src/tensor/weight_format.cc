#include "tensor/weight_format.h"

#include <array>

namespace ettin {
namespace {

struct Row {
  std::string_view name;
  double bits;
};

constexpr size_t kChoices = 5;  // the first: what --dtype can ask for
constexpr std::array<Row, 7> kTable{{{"fp64", 64},
                                     {"fp32", 32},
                                     {"bf16", 16},
                                     {"q8", 8},
                                     {"q4", 4.5},
                                     {"int8", 8},
                                     {"weight-only", 5}}};

}  // namespace

std::string_view format_name(WeightFormat format) {
  return kTable[static_cast<size_t>(format)].name;
}

std::optional<WeightFormat> format_from_name(std::string_view name) {
  if (name == "int8") return WeightFormat::q8;
  for (size_t i = 0; i < kChoices; ++i) {
    if (kTable[i].name == name) return static_cast<WeightFormat>(i);
  }
  return std::nullopt;
}

double bits_per_weight(WeightFormat format) { return kTable[static_cast<size_t>(format)].bits; }

}  // namespace ettin
