// When a request that failed is tried again.
#pragma once

#include <optional>
#include <string>

#include "hub/transfer.h"

namespace ettin {

class Retries {
 public:
  // Seconds to wait; nullopt: give up. `progressed`: the attempt was worth it, so counting begins
  // anew.
  std::optional<double> next(const Outcome& outcome, bool progressed);

 private:
  int failures_ = 0;
};

// "cannot reach huggingface.co: ..." with what to do.
Status unreachable(const std::string& endpoint, const std::string& trouble);

}  // namespace ettin
