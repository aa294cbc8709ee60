// A training step for `ettin bench`: forward, backward and optimiser on random weights and tokens.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "bench_cases.h"
#include "ettin/status.h"
#include "model/config.h"
#include "tensor/weight_format.h"

namespace ettin::cli {

struct TrainingBenchOptions {
  std::string size;  // "17m" ... "1b"
  Arm arm;
  WeightFormat format = WeightFormat::f32;
  std::string backend = "cpu";
  int threads = 0;
};

// One microbatch of the case's sequences, then an update by StableAdamW. Of an encoder's tokens 30
// % are masked, a decoder predicts every token but the first of a sequence; dropout is off.
class TrainingBench {
 public:
  static Result<TrainingBench> make(const TrainingBenchOptions& options, const BenchCase& c);
  TrainingBench(TrainingBench&&) noexcept;
  ~TrainingBench();

  double step_ms();
  double loss() const;  // of the last step
  int64_t targets() const;
  size_t activation_bytes() const;
  const ModelConfig& config() const;
  const class Backend& backend() const;

 private:
  struct State;
  explicit TrainingBench(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace ettin::cli
