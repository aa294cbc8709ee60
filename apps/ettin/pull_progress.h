// A line on standard error about a model that is being fetched.
#pragma once

#include <chrono>

#include "console.h"
#include "hub/pull.h"

namespace ettin::cli {

// Must outlive the pull that its options are given to.
class PullProgressLine {
 public:
  explicit PullProgressLine(Console& console) : console_(console) {}
  ~PullProgressLine() { console_.draw_progress(""); }
  PullProgressLine(const PullProgressLine&) = delete;
  PullProgressLine& operator=(const PullProgressLine&) = delete;

  PullOptions options();

 private:
  using Clock = std::chrono::steady_clock;

  void show(const PullProgress& progress);

  Console& console_;
  std::optional<Clock::time_point> start_;
  Clock::time_point shown_;
  uint64_t there_at_start_ = 0;
};

}  // namespace ettin::cli
