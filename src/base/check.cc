#include "base/check.h"

#include <cstdio>
#include <cstdlib>

namespace ettin {

void check_failed(const char* file, int line, const char* condition) {
  std::fprintf(stderr, "%s:%d: bug in ettin: check failed: %s\n", file, line, condition);
  std::abort();
}

}  // namespace ettin
