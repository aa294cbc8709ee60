#include "bench_cases.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <numeric>

namespace ettin::cli {
namespace {

// Lengths of a mixed batch; fixed, so that every engine and every version times the same work.
constexpr int64_t kRagged32[] = {52,  50,  53,  116, 53, 14, 82,  46, 48,  66, 74,
                                 181, 111, 66,  29,  22, 75, 512, 62, 54,  99, 15,
                                 44,  95,  137, 47,  85, 75, 126, 20, 102, 14};

constexpr int64_t kMostSequences = 4096;
constexpr int64_t kLongest = int64_t{1} << 20;

// The whole of `text` as a number in [1, most], else 0.
int64_t read_count(std::string_view text, int64_t most) {
  int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  return error == std::errc() && stop == end && value >= 1 && value <= most ? value : 0;
}

}  // namespace

int64_t BenchCase::tokens() const {
  if (kind == Kind::decode) return kDecodeTokens;
  return std::accumulate(lengths.begin(), lengths.end(), int64_t{0});
}

Result<BenchCase> parse_bench_case(std::string_view name) {
  BenchCase result;
  result.name = name;
  constexpr std::string_view kTokenize = "tokenize:";
  if (name == "ragged32") {
    result.lengths.assign(std::begin(kRagged32), std::end(kRagged32));
    return result;
  }
  if (name == "load") {
    result.kind = BenchCase::Kind::load;
    return result;
  }
  if (name.starts_with(kTokenize) && name.size() > kTokenize.size()) {
    result.kind = BenchCase::Kind::tokenize;
    result.file = name.substr(kTokenize.size());
    return result;
  }
  for (const auto& [word, kind] :
       {std::pair{std::string_view("prefill"), BenchCase::Kind::prefill},
        std::pair{std::string_view("decode"), BenchCase::Kind::decode}}) {
    if (!name.starts_with(word)) continue;
    if (const int64_t prompt = read_count(name.substr(word.size()), kLongest)) {
      result.kind = kind;
      result.lengths = {prompt};
      return result;
    }
  }
  constexpr std::string_view kTrain = "train";
  const bool train = name.starts_with(kTrain);
  const std::string_view shape = train ? name.substr(kTrain.size()) : name;
  if (const size_t x = shape.find('x'); x != std::string_view::npos) {
    const int64_t sequences = read_count(shape.substr(0, x), kMostSequences);
    const int64_t length = read_count(shape.substr(x + 1), kLongest);
    if (sequences > 0 && length > 0) {
      if (train) result.kind = BenchCase::Kind::train;
      result.lengths.assign(static_cast<size_t>(sequences), length);
      return result;
    }
  }
  return Status(StatusCode::invalid_argument, fmt::format("\"{:.60}\" is no case", name),
                "cases are BxS (8x128: 8 sequences of 128 tokens), ragged32, prefillP, decodeP, "
                "trainBxS, tokenize:FILE and load");
}

Result<std::vector<BenchCase>> parse_bench_cases(std::string_view list) {
  std::vector<BenchCase> cases;
  for (size_t at = 0; at <= list.size();) {
    const size_t comma = std::min(list.find(',', at), list.size());
    ETTIN_ASSIGN_OR_RETURN(BenchCase parsed, parse_bench_case(list.substr(at, comma - at)));
    cases.push_back(std::move(parsed));
    at = comma + 1;
  }
  return cases;
}

int32_t bench_token(int64_t sequence, int64_t position, int64_t vocab_size) {
  constexpr int64_t kFirst = 1000, kSpread = 49000;
  const int64_t token = kFirst + (7919 * position + 104729 * sequence) % kSpread;
  return static_cast<int32_t>(token < vocab_size ? token : token % vocab_size);
}

std::vector<int32_t> bench_sequence(int64_t sequence, int64_t length, int64_t vocab_size) {
  std::vector<int32_t> ids;
  for (int64_t i = 0; i < length; ++i) ids.push_back(bench_token(sequence, i, vocab_size));
  return ids;
}

Result<Timing> time_runs(const std::function<Result<double>()>& run, size_t least, double budget) {
  constexpr size_t kMost = 300;
  using Clock = std::chrono::steady_clock;
  ETTIN_RETURN_IF_ERROR(run().status());
  std::vector<double> times;
  const auto start = Clock::now();
  const auto passed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
  while (times.size() < least || (times.size() < kMost && passed() < budget)) {
    ETTIN_ASSIGN_OR_RETURN(const double ms, run());
    times.push_back(ms);
  }
  std::sort(times.begin(), times.end());
  return Timing{times[times.size() / 2], times[0], times.size()};
}

std::vector<std::string> cut_documents(std::string_view text) {
  constexpr size_t kDocument = 100'000;
  std::vector<std::string> documents;
  for (size_t at = 0; at < text.size();) {
    const size_t line_end = text.find('\n', std::min(at + kDocument, text.size()));
    const size_t end = line_end == std::string_view::npos ? text.size() : line_end + 1;
    documents.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return documents;
}

}  // namespace ettin::cli
