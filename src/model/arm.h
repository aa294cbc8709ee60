// The whole difference between an Ettin encoder and an Ettin decoder, as a value. Everything else -
// weights, layers, heads, code - is the same; there is no class per kind.
#pragma once

#include <cstdint>
#include <string_view>

#include "backend/attention_spec.h"

namespace ettin {

enum class Direction : uint8_t { bidirectional, causal };  // whom a token may see
enum class Objective : uint8_t { mlm, clm };               // what a token must predict

struct Arm {
  std::string_view name;
  Direction direction;
  Objective objective;

  friend bool operator==(const Arm& a, const Arm& b) {
    return a.direction == b.direction && a.objective == b.objective;
  }
};

inline constexpr Arm kEncoder{"encoder", Direction::bidirectional, Objective::mlm};
inline constexpr Arm kDecoder{"decoder", Direction::causal, Objective::clm};

// Global layers see everything, local layers a window; causal cuts the right side. Both counts are
// inclusive neighbours: an encoder's window of 64 each side is 129 keys, a decoder's 64 causal keys
// are itself and 63 before it.
constexpr AttentionSpec attention_spec(Direction direction, bool global, int64_t window_each_side,
                                       int64_t causal_window_keys) {
  AttentionSpec spec;
  if (!global) {
    const bool causal = direction == Direction::causal;
    spec.left = causal ? causal_window_keys - 1 : window_each_side;
    spec.right = window_each_side;
  }
  if (direction == Direction::causal) spec.right = 0;
  return spec;
}

static_assert(attention_spec(Direction::bidirectional, false, 64, 64) == AttentionSpec{64, 64});
static_assert(attention_spec(Direction::causal, false, 64, 64) == AttentionSpec{63, 0});
static_assert(attention_spec(Direction::causal, true, 64, 64).left == AttentionSpec::kUnlimited);

}  // namespace ettin
