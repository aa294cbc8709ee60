// NumPy's bit generator PCG64DXSM as Generator(PCG64DXSM(seed)) seeds and draws from it, bit for
// bit (training.md 2.4).
#pragma once

#include <array>
#include <cstdint>
#include <optional>

namespace ettin {

// SeedSequence(seed).generate_state(4, uint64) (O'Neill's seed_seq_fe).
std::array<uint64_t, 4> seed_sequence_state(uint64_t seed);

// O'Neill 2014; the output function DXSM is NumPy's default for new streams. A value type.
class Pcg64Dxsm {
 public:
  using Wide = unsigned __int128;

  explicit Pcg64Dxsm(uint64_t seed) {
    const std::array<uint64_t, 4> v = seed_sequence_state(seed);
    const Wide init = Wide{v[0]} << 64 | v[1], sequence = Wide{v[2]} << 64 | v[3];
    constexpr Wide kSeeding = Wide{0x2360ed051fc65da4u} << 64 | 0x4385df649fccf645u;
    increment_ = 2 * sequence + 1;
    state_ = (increment_ + init) * kSeeding + increment_;
  }

  uint64_t next64() {
    auto high = static_cast<uint64_t>(state_ >> 64);
    const uint64_t low = static_cast<uint64_t>(state_) | 1;
    high ^= high >> 32;
    high *= kMultiplier;
    high ^= high >> 48;
    high *= low;
    state_ = state_ * kMultiplier + increment_;
    return high;
  }

  // The low half of a draw of 64 bits; the next call gives the high half.
  uint32_t next32() {
    if (half_) {
      const uint32_t half = *half_;
      half_.reset();
      return half;
    }
    const uint64_t u = next64();
    half_ = static_cast<uint32_t>(u >> 32);
    return static_cast<uint32_t>(u);
  }

  Wide state() const { return state_; }
  Wide increment() const { return increment_; }
  std::optional<uint32_t> pending_half() const { return half_; }

 private:
  static constexpr uint64_t kMultiplier = 0xda942042e4dd58b5u;
  Wide state_, increment_;
  std::optional<uint32_t> half_;
};

}  // namespace ettin
