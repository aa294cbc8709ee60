#include "model/weights.h"

namespace ettin {

int64_t parameter_count(const ModelConfig& config) {
  int64_t total = 0;
  for_each_tensor(config, [&](const TensorSpec& spec) {
    if (!spec.tied) total += spec.rows * spec.cols;
    if (spec.bias) total += spec.is_norm ? spec.cols : spec.rows;
  });
  return total;
}

}  // namespace ettin
