// Counts what the test program asks of operator new.
#pragma once

#include <cstddef>

namespace ettin::test {

// The sum of all requests since the start of the program.
size_t bytes_requested();

}  // namespace ettin::test
