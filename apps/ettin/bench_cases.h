// The cases of `ettin bench` and the rule by which they are timed: the same as the benchmark
// scripts of other engines use, so that their lines can be joined.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin::cli {

struct BenchCase {
  enum class Kind : uint8_t { forward, prefill, decode, tokenize, load, train };

  Kind kind = Kind::forward;
  std::string name;              // as it was asked for
  std::vector<int64_t> lengths;  // tokens of each sequence, or of the prompt
  std::string file;              // tokenize only

  bool needs_decoder() const { return kind == Kind::prefill || kind == Kind::decode; }
  // Real tokens of one run; tokenize: not known before.
  int64_t tokens() const;
};

inline constexpr int64_t kDecodeTokens = 64;  // new tokens of a decode case

// "1x128", "ragged32", "prefill512", "decode16", "train4x512", "tokenize:FILE",
// "load".
Result<BenchCase> parse_bench_case(std::string_view name);
// Separated by commas.
Result<std::vector<BenchCase>> parse_bench_cases(std::string_view list);

// Token `position` of sequence `sequence`, the same for every engine; folded into vocabularies that
// are smaller than the published one.
int32_t bench_token(int64_t sequence, int64_t position, int64_t vocab_size);
std::vector<int32_t> bench_sequence(int64_t sequence, int64_t length, int64_t vocab_size);

struct Timing {
  double median_ms = 0;
  double min_ms = 0;
  size_t runs = 0;
};

// One untimed run, then at least `least` runs, until `budget` seconds have passed, at most 300.
// `run` returns its own milliseconds.
Result<Timing> time_runs(const std::function<Result<double>()>& run, size_t least, double budget);

// Documents of about 100 kB, cut behind line ends.
std::vector<std::string> cut_documents(std::string_view text);

}  // namespace ettin::cli
