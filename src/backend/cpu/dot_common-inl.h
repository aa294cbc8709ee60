// What the AVX-512 dot-product kernels share. Their code stands between HWY_PUSH_ATTRIBUTES and
// HWY_POP_ATTRIBUTES: nothing of std:: may be instantiated there, because such a function, compiled
// for AVX-512, could be the copy that the linker keeps for the whole program.
#pragma once

#include <hwy/base.h>
#include <immintrin.h>

#include "backend/cpu/dot_kernels.h"
#include "backend/shapes.h"
#include "tensor/quantize.h"

#define ETTIN_AVX512_DOT \
  "avx,avx2,fma,f16c,avx512f,avx512vl,avx512bw,avx512dq,avx512vnni,avx512bf16"
#define ETTIN_UNROLL _Pragma("GCC unroll 32")

HWY_PUSH_ATTRIBUTES(ETTIN_AVX512_DOT)

namespace ettin::cpu::dot {

constexpr int kWidth = 32;  // columns of a panel: two vectors
constexpr ptrdiff_t kVectorBytes = 64;
constexpr ptrdiff_t kGroupBytes = 2 * kVectorBytes;  // one 4-byte group of every column
constexpr ptrdiff_t kAhead = 4096;  // prefetch distance, measured best for weights in DRAM
constexpr ptrdiff_t kScaleBytes = kWidth * 4;  // q8: in front of a panel
constexpr ptrdiff_t kQ4BlockBytes = kWidth * 2 + kWidth * kQ4Block / 2;
constexpr ptrdiff_t kUnpackedBlockBytes = kWidth * 2 + kWidth * kQ4Block;

// Rows that start a multiple of 4 KiB apart would compete for one set of the first-level cache.
inline int64_t padded_stride(int64_t bytes) {
  const int64_t whole = round_up(bytes, kVectorBytes);
  return whole % 4096 == 0 ? whole + kVectorBytes : whole;
}

// A row of q8 or q4 activations: levels, then what the tiles start from, then the scale.
struct LevelRow {
  int64_t levels;  // bytes: k in whole blocks
  explicit LevelRow(int64_t k) : levels(round_up(k, kQ4Block)) {}
  int64_t block_starts() const { return levels; }                       // int32 per block: -8 sum
  int64_t row_start() const { return levels + levels / kQ4Block * 4; }  // int32: -128 sum
  int64_t scale() const { return row_start() + 4; }                     // float
  int64_t bytes() const { return padded_stride(scale() + 4); }
};

inline __m512 load_part(const float* x, int64_t n) {
  if (n >= 16) return _mm512_loadu_ps(x);
  return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), x);
}

// sum += bytes (unsigned) times levels (signed), four products a lane. The intrinsic makes GCC 12
// move the sums between registers and the stack.
inline void dot_add(__m512i& sum, __m512i bytes, __m512i levels) {
  asm("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(bytes), "v"(levels));
}

int64_t level_row_bytes(int64_t k);
// Rows by the rule of quantize_q8 (tensor/quantize.h), for q8 rotated first, and what takes away
// the offsets of unsigned weights: for q8 per row, for q4 per block too.
void prepare_q8(const float* x, int64_t k, std::byte* row);
void prepare_q4(const float* x, int64_t k, std::byte* row);

// The tiles of one format by rows and panels. Tile<R, P>::run(args) multiplies R rows by P panels,
// Tile<R, P>::kMostPanels says how many panels R rows take at most: sums, weights and x must fit
// into 32 registers.
template <template <int, int> class Tile, int kMostRows>
struct TileTable {
  struct Row {
    int64_t most_panels = 0;
    void (*one)(const DotArgs&) = nullptr;
    void (*two)(const DotArgs&) = nullptr;
    void (*four)(const DotArgs&) = nullptr;
  };
  Row of_rows[kMostRows] = {};

  constexpr TileTable() { fill<kMostRows>(); }

  template <int kRows>
  constexpr void fill() {
    constexpr int kMost = Tile<kRows, 1>::kMostPanels;
    Row& tiles = of_rows[kRows - 1];
    tiles.most_panels = kMost;
    tiles.one = Tile<kRows, 1>::run;
    if constexpr (kMost >= 2) tiles.two = Tile<kRows, 2>::run;
    if constexpr (kMost >= 4) tiles.four = Tile<kRows, 4>::run;
    if constexpr (kRows > 1) fill<kRows - 1>();
  }

  static const TileTable table;

  static int64_t panels_at_once(int64_t rows, int64_t left) {
    const int64_t most = table.of_rows[rows - 1].most_panels;
    return left >= most ? most : left >= 2 && most >= 2 ? 2 : 1;
  }

  // Any number of panels, cut into those that one tile takes.
  static void multiply(int64_t rows, int64_t panels, const DotArgs& args) {
    const Row& tiles = table.of_rows[rows - 1];
    const auto tile_of = [&](int64_t taken) {
      return taken == 4 ? tiles.four : taken == 2 ? tiles.two : tiles.one;
    };
    // The usual case: no copy, which would wait until what the caller has just stored is in cache.
    if (panels_at_once(rows, panels) == panels) return tile_of(panels)(args);
    DotArgs a = args;
    while (panels > 0) {
      const int64_t taken = panels_at_once(rows, panels);
      tile_of(taken)(a);
      a.panels += taken * a.panel_bytes;
      a.sums += taken * kWidth;
      panels -= taken;
    }
  }
};
template <template <int, int> class Tile, int kMostRows>
constexpr TileTable<Tile, kMostRows> TileTable<Tile, kMostRows>::table{};

}  // namespace ettin::cpu::dot

HWY_POP_ATTRIBUTES
