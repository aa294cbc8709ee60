// "Did you mean": the known word that is closest to a mistyped one.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace ettin {

// Fewest insertions, deletions, replacements and swaps of neighbours from `a` to `b`, in bytes.
size_t edit_distance(std::string_view a, std::string_view b);

// The nearest of `known`, the first on ties; nothing when all are too far to be meant.
std::optional<std::string> closest(std::string_view word,
                                   const std::vector<std::string_view>& known);

}  // namespace ettin
