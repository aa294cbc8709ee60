#include "report/axis.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include <fmt/format.h>

namespace ettin {
namespace {

// 1, 2 or 5 times a power of ten: the smallest that is at least `least`.
double nice_step(double least) {
  const double power = std::pow(10.0, std::floor(std::log10(least)));
  for (const double step : {1.0, 2.0, 5.0}) {
    if (least <= step * power * (1 + 1e-9)) return step * power;
  }
  return 10 * power;
}

// 3e-05 as 3e-5.
std::string without_exponent_zeros(std::string text) {
  const size_t exponent = text.find('e');
  if (exponent == std::string::npos) return text;
  size_t digits = exponent + 1;
  if (text[digits] == '+') text.erase(digits, 1);
  if (text[digits] == '-') ++digits;
  while (digits + 1 < text.size() && text[digits] == '0') text.erase(digits, 1);
  return text;
}

}  // namespace

bool is_drawable(double value) {
  const double size = std::abs(value);
  return value == 0 || (size >= 1e-30 && size <= 1e30);  // false for nan
}

std::string short_number(double value, int digits) {
  struct Unit {
    double size;
    const char* suffix;
  };
  static constexpr Unit kUnits[] = {{1e12, "T"}, {1e9, "B"}, {1e6, "M"}, {1e3, "k"}};
  const double size = std::abs(value);
  if (size >= 1e4 && size < 1e15) {
    // The unit is chosen after rounding: 999,999.9 is 1M.
    const double rounded = std::stod(fmt::format("{:.{}e}", size, digits - 1));
    for (const Unit& unit : kUnits) {
      if (rounded >= unit.size) {
        return fmt::format("{:.{}g}{}", value / unit.size, std::max(digits, 3), unit.suffix);
      }
    }
  }
  return without_exponent_zeros(
      fmt::format("{:.{}g}", value, size >= 100 && size < 1e4 ? std::max(digits, 4) : digits));
}

Axis::Axis(double low, double high, bool logarithmic, int most_ticks)
    : low_(low), high_(high), logarithmic_(logarithmic) {
  if (logarithmic_) {
    if (high_ < low_ * 1.001) {
      low_ /= 2;
      high_ *= 2;
    }
    add_logarithmic_ticks(most_ticks);
    return;
  }
  const double size = std::max(std::abs(low_), std::abs(high_));
  if (high_ - low_ <= size * 1e-9) {
    const double pad = size == 0 ? 1 : size * 0.1;
    low_ -= pad;
    high_ += pad;
  }
  add_linear_ticks(most_ticks);
}

double Axis::at(double value) const {
  if (!logarithmic_) return (value - low_) / (high_ - low_);
  return std::log(value / low_) / std::log(high_ / low_);
}

void Axis::add_linear_ticks(int most) {
  const double step = nice_step((high_ - low_) / std::max(most, 1));
  const auto first = static_cast<int64_t>(std::ceil(low_ / step - 1e-9));
  const auto last = static_cast<int64_t>(std::floor(high_ / step + 1e-9));
  const double largest = std::max(std::abs(low_), std::abs(high_));
  // The digits that the step needs, on all ticks alike; small numbers read better as 3e-5.
  const int digits = std::max(0, static_cast<int>(-std::floor(std::log10(step) + 1e-9)));
  const bool fixed = largest < 1e4 && (digits <= 4 || (largest >= 0.1 && digits <= 9));
  for (int64_t i = first; i <= last; ++i) {
    const double value = static_cast<double>(i) * step;
    std::string label = "0";
    if (i != 0) {
      // Of a narrow range far from zero, as many digits as tell two ticks apart.
      const int significant = static_cast<int>(std::ceil(std::log10(largest / step))) + 1;
      label = fixed ? fmt::format("{:.{}f}", value, digits)
                    : short_number(value, std::clamp(significant, 2, 12));
    }
    ticks_.push_back({value, label});
  }
}

void Axis::add_logarithmic_ticks(int most) {
  const double decades = std::log10(high_ / low_);
  if (decades < 0.5) {  // too few powers of ten: evenly spread numbers do
    add_linear_ticks(most);
    return;
  }
  const auto first = static_cast<int>(std::floor(std::log10(low_)));
  const auto last = static_cast<int>(std::ceil(std::log10(high_)));
  const int every = std::max(1, static_cast<int>(std::ceil(decades / most)));
  const bool between = every == 1 && decades * 3 <= most;
  for (int power = first; power <= last; ++power) {
    if ((power - first) % every != 0) continue;
    for (const double factor : {1.0, 2.0, 5.0}) {
      if (factor != 1 && !between) break;
      const double value = factor * std::pow(10.0, power);
      if (value < low_ * (1 - 1e-9) || value > high_ * (1 + 1e-9)) continue;
      ticks_.push_back({value, short_number(value, 3)});
    }
  }
  if (ticks_.size() < 3) {
    ticks_.clear();
    add_linear_ticks(most);
  }
}

}  // namespace ettin
