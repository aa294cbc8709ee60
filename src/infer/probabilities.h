// Small vectors of label logits to scores, in double.
#pragma once

#include <algorithm>
#include <cmath>
#include <span>
#include <vector>

namespace ettin {

inline std::vector<double> softmax(std::span<const double> logits) {
  std::vector<double> p(logits.begin(), logits.end());
  const double top = *std::max_element(p.begin(), p.end());
  double sum = 0;
  for (double& v : p) sum += v = std::exp(v - top);
  for (double& v : p) v /= sum;
  return p;
}

inline double sigmoid(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace ettin
