// The end of every kernel file: picks one entry of Highway's table without its global state, so
// that backends with different instruction sets can live side by side.
#pragma once

#include <hwy/highway.h>

namespace ettin::cpu {

template <class Table>
auto pick(const Table& table, int64_t targets) {
  constexpr size_t kSize = sizeof(table) / sizeof(table[0]);
  if constexpr (kSize == 1) {
    (void)targets;
    return table[0];  // a build with one instruction set
  } else {
    hwy::ChosenTarget chosen;
    chosen.Update(targets);
    return table[chosen.GetIndex()];
  }
}

}  // namespace ettin::cpu
