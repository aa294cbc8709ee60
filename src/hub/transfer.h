// Requests over HTTP, several at once (library: libcurl).
//
// Redirects are followed here, one by one: a token goes to the host it is meant for and to no
// other, HTTPS is never left for HTTP, and their number is limited.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "hub/answer.h"

namespace ettin {

struct Request {
  std::string url;
  bool head = false;
  std::string token;  // for the host of `url`, over HTTPS or on this machine
  uint64_t from = 0;  // the first byte wanted
  // A redirect to another host is the answer, instead of being followed.
  bool stop_at_other_host = false;
};

struct Outcome {
  std::vector<Answer> answers;  // one per hop; never empty
  std::string trouble;          // why the transfer broke; empty: it went through
  Status refused;               // what begin() or body() said

  const Answer& last() const { return answers.back(); }
};

// One thing to fetch, in as many attempts as it takes.
class Job {
 public:
  virtual ~Job() = default;

  virtual Request attempt() = 0;
  // The head of an answer with status 2xx, then its body in pieces. Refusing ends the attempt.
  virtual Status begin(const Answer& answer) = 0;
  virtual Status body(std::span<const std::byte> bytes) = 0;
  // Seconds until the next attempt; nullopt: done. A Status that is not ok ends every job.
  virtual Result<std::optional<double>> finished(const Outcome& outcome) = 0;
};

struct TransferSettings {
  int connect_seconds = 10;
  int stall_seconds = 10;
  int at_once = 4;
};

// Runs all jobs; the first failure. `tick` is called several times a second.
Status run_jobs(std::span<Job* const> jobs, const TransferSettings& settings,
                const std::function<void()>& tick);

}  // namespace ettin
