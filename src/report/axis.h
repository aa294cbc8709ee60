// An axis of a chart: a range of numbers, where its ticks are, and how they read.
#pragma once

#include <string>
#include <vector>

namespace ettin {

// What a chart can show: finite, and of a size that sums and logarithms survive (1e-30 to 1e30 in
// magnitude, or 0). Everything else in a curve is left out.
bool is_drawable(double value);

struct Tick {
  double value = 0;
  std::string label;
};

class Axis {
 public:
  // An axis that shows `low` to `high` (drawable, in this order; on a logarithmic axis above 0).
  // A range of one value is widened around it.
  Axis(double low, double high, bool logarithmic, int most_ticks);

  // Where `value` is, from 0 at the low end to 1 at the high end.
  double at(double value) const;

  double low() const { return low_; }
  double high() const { return high_; }
  bool logarithmic() const { return logarithmic_; }
  const std::vector<Tick>& ticks() const { return ticks_; }  // inside the range, ascending

 private:
  void add_linear_ticks(int most);
  void add_logarithmic_ticks(int most);

  double low_, high_;
  bool logarithmic_;
  std::vector<Tick> ticks_;
};

// A number as charts write it: 1,500,000 is 1.5M, 2e9 is 2B, 0.00003 is 3e-5; at most `digits`
// significant digits.
std::string short_number(double value, int digits);

}  // namespace ettin
