#include "infer/compare_models.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include <fmt/format.h>

#include "infer/encode.h"
#include "model/heads.h"

namespace ettin {
namespace {

// A token to be predicted, at a row of a batch.
struct Wanted {
  int32_t id;
  int64_t row;
};

struct Group {
  Batch batch;
  std::vector<Wanted> wanted;
};

struct RowDifference {
  bool same_top1 = false;
  double kl = 0;
  double logprob_original = 0, logprob_other = 0;
};

void append_causal(const Encoding& e, Group* group) {
  if (e.ids.empty()) return;
  const int64_t start = group->batch.append(e.ids);
  for (size_t t = 1; t < e.ids.size(); ++t) {
    if (!e.special[t]) group->wanted.push_back({e.ids[t], start + static_cast<int64_t>(t) - 1});
  }
}

void append_masked(const Encoding& e, int64_t number, int32_t mask, Group* group) {
  std::vector<size_t> tokens;
  for (size_t t = 0; t < e.ids.size(); ++t) {
    if (!e.special[t]) tokens.push_back(t);
  }
  if (tokens.empty()) return;
  std::vector<int32_t> ids = e.ids;
  const int64_t start = group->batch.tokens();
  const auto count = static_cast<int64_t>(tokens.size());
  for (int64_t i = number % std::min(kMaskEvery, count); i < count; i += kMaskEvery) {
    const size_t t = tokens[static_cast<size_t>(i)];
    group->wanted.push_back({ids[t], start + static_cast<int64_t>(t)});
    ids[t] = mask;
  }
  group->batch.append(ids);
}

size_t first_largest(std::span<const double> x) {
  return static_cast<size_t>(std::max_element(x.begin(), x.end()) - x.begin());
}

// Of one row of logits of each model; lse: their log-sum-exp.
RowDifference row_difference(std::span<const double> a, double lse_a, std::span<const double> b,
                             double lse_b, int32_t target) {
  RowDifference d;
  for (size_t i = 0; i < a.size(); ++i) {
    const double log_p = a[i] - lse_a;
    d.kl += std::exp(log_p) * (log_p - (b[i] - lse_b));
  }
  d.same_top1 = first_largest(a) == first_largest(b);
  d.logprob_original = a[static_cast<size_t>(target)] - lse_a;
  d.logprob_other = b[static_cast<size_t>(target)] - lse_b;
  return d;
}

class Comparer {
 public:
  Comparer(const Session& original, const Session& other, ModelDifference* sum)
      : a_(original), b_(other), sum_(*sum), vocab_(to_size(original.config().vocab_size)) {
    scratch_.resize(to_size(a_.backend().threads().size()));
    for (auto& rows : scratch_) rows.resize(2 * vocab_);
  }

  void add(const Group& group) {
    if (group.wanted.empty()) return;
    Session::Scratch scratch_a(a_), scratch_b(b_);
    Arena &arena_a = scratch_a.arena(), &arena_b = scratch_b.arena();
    const View hidden_a = backbone_forward(a_.network(), group.batch, {}, arena_a);
    const View hidden_b = backbone_forward(b_.network(), group.batch, {}, arena_b);
    const std::span<const Wanted> wanted(group.wanted);
    for (size_t at = 0; at < wanted.size(); at += to_size(kLogitRows)) {
      const auto piece = wanted.subspan(at, std::min(to_size(kLogitRows), wanted.size() - at));
      std::vector<int64_t> rows;
      for (const Wanted& w : piece) rows.push_back(w.row);
      const Arena::Mark mark_a = arena_a.mark(), mark_b = arena_b.mark();
      add_rows(vocab_logits(a_.network(), hidden_a, rows, arena_a),
               vocab_logits(b_.network(), hidden_b, rows, arena_b), piece);
      arena_a.release_to(mark_a);
      arena_b.release_to(mark_b);
    }
  }

 private:
  static size_t to_size(int64_t n) { return static_cast<size_t>(n); }

  void add_rows(ConstView a, ConstView b, std::span<const Wanted> wanted) {
    std::vector<double> lse_a(wanted.size()), lse_b(wanted.size());
    a_.backend().log_sum_exp(a, lse_a);
    b_.backend().log_sum_exp(b, lse_b);
    std::vector<RowDifference> rows(wanted.size());
    a_.backend().threads().parallel_for(a.rows, [&](int64_t r, int thread) {
      const std::span<double> both = scratch_[to_size(thread)];
      const auto x = both.first(vocab_), y = both.subspan(vocab_);
      a_.backend().copy_to_host(a.slice_rows(r, 1), x);
      b_.backend().copy_to_host(b.slice_rows(r, 1), y);
      const size_t i = to_size(r);
      rows[i] = row_difference(x, lse_a[i], y, lse_b[i], wanted[i].id);
    });
    for (const RowDifference& d : rows) {
      ++sum_.positions;
      sum_.same_top1 += d.same_top1 ? 1 : 0;
      sum_.kl += d.kl;
      sum_.max_kl = std::max(sum_.max_kl, d.kl);
      sum_.probability_change +=
          std::fabs(std::exp(d.logprob_original) - std::exp(d.logprob_other));
      sum_.logprob_original += d.logprob_original;
      sum_.logprob_other += d.logprob_other;
    }
  }

  const Session& a_;
  const Session& b_;
  ModelDifference& sum_;
  size_t vocab_;
  std::vector<std::vector<double>> scratch_;  // two rows of logits for each thread
};

Status check_pair(const Session& a, const Session& b) {
  for (const Session* s : {&a, &b}) {
    ETTIN_RETURN_IF_ERROR(need_weights(*s));
    if (s->config().head != Head::language_model) {
      return wrong_task(*s, "a comparison", "a language-model head", "");
    }
  }
  if (a.config().vocab_size != b.config().vocab_size || a.config().arm != b.config().arm) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{} and {} cannot be compared: their kinds or vocabularies differ",
                              a.info().directory, b.info().directory),
                  "compare a model with what was made from it");
  }
  return {};
}

double mean(double sum, int64_t count) { return count == 0 ? 0 : sum / static_cast<double>(count); }

}  // namespace

double ModelDifference::top1_agreement() const {
  return mean(static_cast<double>(same_top1), positions);
}
double ModelDifference::mean_kl() const { return mean(kl, positions); }
double ModelDifference::mean_probability_change() const {
  return mean(probability_change, positions);
}
double ModelDifference::perplexity_original() const {
  return std::exp(-mean(logprob_original, positions));
}
double ModelDifference::perplexity_other() const {
  return std::exp(-mean(logprob_other, positions));
}

Status compare_models(const Session& original, const Session& other,
                      std::span<const TextInput> texts, ModelDifference* sum) {
  ETTIN_RETURN_IF_ERROR(check_pair(original, other));
  ETTIN_ASSIGN_OR_RETURN(const std::vector<Encoding> encodings,
                         encode_inputs(original, texts, OverLength::truncate, false));
  const bool causal = original.config().arm.objective == Objective::clm;
  const std::optional<int32_t> mask = original.tokenizer().mask_id();
  if (!causal && !mask) {
    return Status(StatusCode::unsupported,
                  original.info().directory + ": the tokenizer has no [MASK] token");
  }
  Comparer comparer(original, other, sum);
  return for_each_group(
      encodings.size(), kBatchTokens,
      [&](size_t i) { return static_cast<int64_t>(encodings[i].ids.size()); },
      [&](size_t first, size_t last) -> Status {
        Group group;
        for (size_t i = first; i < last; ++i) {
          const Encoding& e = encodings[i];
          if (causal) {
            append_causal(e, &group);
          } else {
            append_masked(e, sum->texts, *mask, &group);
          }
          ++sum->texts;
          sum->truncated += e.truncated ? 1 : 0;
        }
        comparer.add(group);
        return {};
      });
}

}  // namespace ettin
