#include "infer/parity.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <fmt/format.h>

#include "backend/top_k.h"
#include "infer/encode.h"
#include "model/heads.h"

namespace ettin {
namespace {

size_t to_size(int64_t n) { return static_cast<size_t>(n); }

// What a type that stores matrices does: to a weight, relative to it, and at most to the likeliest
// token, as a share of the rows.
struct Rounding {
  double of_weight, of_top_1;
};

Rounding rounding_of(std::string_view stored) {
  if (stored == "fp16") return {std::ldexp(1.0, -11), 0.005};
  if (stored == "bf16") return {std::ldexp(1.0, -8), 0.02};
  if (stored == "int8") return {1.0 / 128, 0.1};
  if (stored == "int4") return {1.0 / 10, 0.3};
  if (stored == "q8") return {1.0 / 254, 0.05};
  if (stored == "q4") return {1.0 / 16, 0.25};
  return {std::ldexp(1.0, -24), 0};
}

// What one row of outputs adds.
struct RowParity {
  double max_difference = 0, sum = 0, largest = 0;
  bool same_top_1 = false, same_top_k = false, same_order = false;
};

std::vector<int32_t> top_ids(std::span<const double> x, size_t k) {
  std::vector<TokenLogit> best(k);
  row_top_k(x.data(), static_cast<int64_t>(x.size()), std::span(best));
  std::vector<int32_t> ids;
  for (const TokenLogit& token : best) ids.push_back(token.id);
  return ids;
}

RowParity row_parity(std::span<const double> a, std::span<const double> b, int64_t top_k) {
  RowParity row;
  for (size_t i = 0; i < a.size(); ++i) {
    // NaN agrees with nothing: two models that answer nothing else do not verify each other.
    double difference = a[i] == b[i] ? 0 : std::fabs(a[i] - b[i]);
    if (std::isnan(difference)) difference = std::numeric_limits<double>::infinity();
    row.max_difference = std::max(row.max_difference, difference);
    row.sum += difference;
    row.largest = std::max(row.largest, std::fabs(a[i]));
  }
  const size_t k = std::min(to_size(top_k), a.size());
  std::vector<int32_t> x = top_ids(a, k), y = top_ids(b, k);
  row.same_top_1 = k == 0 || x[0] == y[0];
  row.same_order = x == y;
  std::sort(x.begin(), x.end());
  std::sort(y.begin(), y.end());
  row.same_top_k = x == y;
  return row;
}

void add_rows(const Session& a, const Session& b, ConstView x, ConstView y, int64_t top_k,
              Parity* sum) {
  std::vector<RowParity> rows(to_size(x.rows));
  a.backend().threads().parallel_for(x.rows, [&](int64_t r, int) {
    std::vector<double> of_a(to_size(x.cols)), of_b(to_size(x.cols));
    a.backend().copy_to_host(x.slice_rows(r, 1), of_a);
    b.backend().copy_to_host(y.slice_rows(r, 1), of_b);
    rows[to_size(r)] = row_parity(of_a, of_b, top_k);
  });
  for (const RowParity& row : rows) {
    sum->max_difference = std::max(sum->max_difference, row.max_difference);
    sum->sum_of_differences += row.sum;
    sum->largest = std::max(sum->largest, row.largest);
    sum->same_top_1 += row.same_top_1 ? 1 : 0;
    sum->same_top_k += row.same_top_k ? 1 : 0;
    sum->same_order += row.same_order ? 1 : 0;
  }
  sum->rows += x.rows;
  sum->values += x.rows * x.cols;
}

// Outputs at rows [first, first + count) of the batch: its tokens, or its sequences.
View outputs(const Session& s, ConstView hidden, const Batch& batch, int64_t first, int64_t count,
             Arena& arena) {
  switch (s.config().head) {
    case Head::language_model: {
      std::vector<int64_t> rows(to_size(count));
      std::iota(rows.begin(), rows.end(), first);
      return vocab_logits(s.network(), hidden, rows, arena);
    }
    case Head::sequence_classification:
      return sequence_logits(s.network(), hidden, batch.starts, arena);
    case Head::token_classification:
      return token_logits(s.network(), hidden, arena);
    case Head::none:
      break;
  }
  const View copy = s.backend().allocate(arena, hidden.rows, hidden.cols);
  std::vector<int64_t> rows(to_size(hidden.rows));
  std::iota(rows.begin(), rows.end(), 0);
  s.backend().gather_rows(hidden, rows, copy);
  return copy;
}

void add_batch(const Session& a, const Session& b, const Batch& batch, int64_t top_k, Parity* sum) {
  Session::Scratch scratch_a(a), scratch_b(b);
  Arena &arena_a = scratch_a.arena(), &arena_b = scratch_b.arena();
  const View hidden_a = backbone_forward(a.network(), batch, {}, arena_a);
  const View hidden_b = backbone_forward(b.network(), batch, {}, arena_b);
  const bool pieces = a.config().head == Head::language_model;
  const int64_t step = pieces ? kLogitRows : batch.tokens();
  for (int64_t first = 0; first < batch.tokens(); first += step) {
    const int64_t count = std::min(step, batch.tokens() - first);
    const Arena::Mark mark_a = arena_a.mark(), mark_b = arena_b.mark();
    add_rows(a, b, outputs(a, hidden_a, batch, first, count, arena_a),
             outputs(b, hidden_b, batch, first, count, arena_b), top_k, sum);
    arena_a.release_to(mark_a);
    arena_b.release_to(mark_b);
  }
}

// False where the ids differ, which is noted.
bool same_ids(const Encoding& a, const Encoding& b, Parity* sum) {
  if (a.ids == b.ids) return true;
  ++sum->other_tokens;
  if (sum->first_tokens) return false;
  const auto [x, y] = std::mismatch(a.ids.begin(), a.ids.end(), b.ids.begin(), b.ids.end());
  sum->first_tokens = TokenDifference{sum->texts, x - a.ids.begin(), x == a.ids.end() ? -1 : *x,
                                      y == b.ids.end() ? -1 : *y};
  return false;
}

Status check_pair(const Session& a, const Session& b) {
  ETTIN_RETURN_IF_ERROR(need_weights(a));
  ETTIN_RETURN_IF_ERROR(need_weights(b));
  const ModelConfig &x = a.config(), &y = b.config();
  const bool labels =
      x.head == Head::sequence_classification || x.head == Head::token_classification;
  if (x.arm == y.arm && x.head == y.head && x.vocab_size == y.vocab_size &&
      x.hidden_size == y.hidden_size && (!labels || x.num_labels == y.num_labels)) {
    return {};
  }
  return Status(StatusCode::invalid_argument,
                fmt::format("{} and {} cannot be compared: their kinds, heads or sizes differ",
                            a.info().directory, b.info().directory),
                "compare a model with a copy of it; ettin diff shows what differs");
}

}  // namespace

double Parity::relative() const {
  if (max_difference == 0) return 0;
  return largest > 0 ? max_difference / largest : std::numeric_limits<double>::infinity();
}

Status compare_outputs(const Session& a, const Session& b, std::span<const TextInput> texts,
                       int64_t top_k, Parity* sum) {
  ETTIN_RETURN_IF_ERROR(check_pair(a, b));
  sum->what = a.config().head == Head::none ? "hidden states" : kLogits;
  const int64_t limit = std::min(a.max_tokens(), b.max_tokens());
  ETTIN_ASSIGN_OR_RETURN(const std::vector<Encoding> of_a,
                         encode_inputs(a, texts, OverLength::truncate, false, limit));
  ETTIN_ASSIGN_OR_RETURN(const std::vector<Encoding> of_b,
                         encode_inputs(b, texts, OverLength::truncate, false, limit));
  return for_each_group(
      texts.size(), kBatchTokens,
      [&](size_t i) { return static_cast<int64_t>(of_a[i].ids.size()); },
      [&](size_t first, size_t last) -> Status {
        Batch batch;
        for (size_t i = first; i < last; ++i) {
          const bool same = same_ids(of_a[i], of_b[i], sum);
          ++sum->texts;
          sum->tokens += static_cast<int64_t>(of_a[i].ids.size());
          if (same && !of_a[i].ids.empty()) batch.append(of_a[i].ids);
        }
        if (batch.tokens() > 0) add_batch(a, b, batch, top_k, sum);
        return {};
      });
}

std::string_view coarsest_stored(const ModelFolder& folder) {
  std::string_view coarsest = "fp32";
  for (const FoundTensor& found : folder.plan) {
    for (const StoredMatrix& m : found.blocks) {
      const std::string_view stored = stored_name(m);
      if (rounding_of(stored).of_weight > rounding_of(coarsest).of_weight) coarsest = stored;
    }
  }
  return coarsest;
}

ParityBounds parity_bounds(const ModelFolder& a, const ModelFolder& b) {
  const Rounding x = rounding_of(coarsest_stored(a)), y = rounding_of(coarsest_stored(b));
  return {1e-4 + 8 * (x.of_weight + y.of_weight), 0.001 + x.of_top_1 + y.of_top_1};
}

bool within(const ParityBounds& bounds, const Parity& parity) {
  const auto rows = static_cast<double>(parity.rows);
  const auto other = static_cast<double>(parity.rows - parity.same_top_1);
  return parity.other_tokens == 0 && parity.relative() <= bounds.relative &&
         (parity.what != kLogits || other <= std::max(1.0, bounds.other_top_1 * rows));
}

}  // namespace ettin
