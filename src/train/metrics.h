// What happened in each step, as it is shown, stored and drawn.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct StepMetrics {
  int64_t step = 0;    // of the whole run, from 1
  std::string phase;   // its name
  int64_t tokens = 0;  // of the run, this step included
  int64_t step_tokens = 0;
  int64_t targets = 0;  // positions with a loss
  double loss = 0;      // nats per target
  double learning_rate = 0;
  double gradient_norm = 0;
  double seconds = 0;       // of the step
  double data_seconds = 0;  // of it spent waiting for data
  bool skipped = false;     // weights were left as they were
};

struct ValidationMetrics {
  int64_t step = 0, tokens = 0;
  double loss = 0;      // nats per target
  double accuracy = 0;  // share of the targets that no token is likelier than
};

// RUN/metrics.csv, RUN/validation.csv and a TensorBoard event file (train/event_file.h), each
// written line by line: readers see a step at once, and it survives the end of the program. Nothing
// is synced: after a loss of power the last lines may be missing, which costs a gap in a chart.
//
// The columns are the fields of the structs above under their names. Numbers are the shortest that
// read back to the same bits (nan and inf among them). A phase's name is quoted where it has commas
// or quotes (RFC 4180), its control characters become spaces. Not thread-safe.
class MetricsLog {
 public:
  // For a run that has done `steps` steps (0: none): what the files say of later ones goes, and so
  // do damaged lines, with a warning. A file with another header is an error.
  static Result<MetricsLog> open(const std::string& run_folder, int64_t steps);
  MetricsLog(MetricsLog&&) noexcept;
  ~MetricsLog();
  Status add(const StepMetrics& metrics);
  Status add(const ValidationMetrics& metrics);

 private:
  struct Files;
  explicit MetricsLog(std::unique_ptr<Files> files);
  std::unique_ptr<Files> files_;
};

// What a run has written so far, while it runs or later, in order of steps. A last line without its
// end is left out; any other damage is an error that names the line. Of several validations of one
// step the last counts; a run without validation.csv has none.
Result<std::vector<StepMetrics>> read_metrics(const std::string& run_folder);
Result<std::vector<ValidationMetrics>> read_validation(const std::string& run_folder);

}  // namespace ettin
