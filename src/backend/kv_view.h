// Keys and values of one sequence in one layer that earlier calls computed.
#pragma once

#include <cstdint>

#include "tensor/view.h"

namespace ettin {

// Position p lies in row p % keys.rows: a ring for local layers, the identity for global layers
// whose capacity is never exceeded. Keys are stored after RoPE.
struct KvView {
  View keys;         // [capacity, hidden_size]
  View values;       // [capacity, hidden_size]
  int64_t past = 0;  // positions seen so far: 0 .. past-1
};

}  // namespace ettin
