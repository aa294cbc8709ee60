// ETTIN_CHECK: aborts with the condition and a message when the program itself is wrong.
// Never for anything that a file, a user or the network can cause: those are a Status.
#pragma once

namespace ettin {
[[noreturn]] void check_failed(const char* file, int line, const char* condition);
}  // namespace ettin

#define ETTIN_CHECK(condition) \
  ((condition) ? (void)0 : ::ettin::check_failed(__FILE__, __LINE__, #condition))
