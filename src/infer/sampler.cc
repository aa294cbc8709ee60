#include "infer/sampler.h"

#include <algorithm>
#include <cmath>

#include "base/rng.h"

namespace ettin {
namespace {

struct Candidate {
  int32_t id;
  double p;
};

bool better(const Candidate& a, const Candidate& b) { return a.p != b.p ? a.p > b.p : a.id < b.id; }

void renormalise(std::vector<Candidate>* candidates) {
  double sum = 0;
  for (const Candidate& c : *candidates) sum += c.p;
  for (Candidate& c : *candidates) c.p /= sum;
}

// The k most likely; more where several share the last place.
void keep_top_k(std::vector<Candidate>* c, int64_t k) {
  if (k <= 0 || static_cast<size_t>(k) >= c->size()) return;
  std::nth_element(c->begin(), c->begin() + (k - 1), c->end(), better);
  const double threshold = (*c)[static_cast<size_t>(k - 1)].p;
  std::erase_if(*c, [&](const Candidate& x) { return x.p < threshold; });
  renormalise(c);
}

// Candidates from the best on, put in order only as far as they are read: a draw reads a few of
// the 50,000 that sorting them all would cost milliseconds for.
class BestFirst {
 public:
  explicit BestFirst(std::vector<Candidate>* candidates) : all_(*candidates) {}

  size_t size() const { return all_.size(); }
  const Candidate& operator[](size_t i) {
    if (i >= sorted_) {
      const size_t end = std::min(all_.size(), std::max(size_t{64}, 4 * sorted_));
      const auto first = all_.begin() + static_cast<int64_t>(sorted_);
      const auto last = all_.begin() + static_cast<int64_t>(end);
      if (last != all_.end()) std::nth_element(first, last, all_.end(), better);
      std::sort(first, last, better);
      sorted_ = end;
    }
    return all_[i];
  }

 private:
  std::vector<Candidate>& all_;
  size_t sorted_ = 0;
};

// The smallest set of the most likely whose probabilities reach `top_p`; at least one.
void keep_top_p(std::vector<Candidate>* c, double top_p) {
  if (top_p >= 1) return;
  BestFirst best(c);
  double sum = 0;
  size_t kept = 0;
  while (kept < c->size() && (kept == 0 || sum < top_p)) sum += best[kept++].p;
  c->resize(kept);
  renormalise(c);
}

void keep_min_p(std::vector<Candidate>* c, double min_p) {
  if (min_p <= 0) return;
  const double most = std::max_element(c->begin(), c->end(), [](const auto& a, const auto& b) {
                        return a.p < b.p;
                      })->p;
  std::erase_if(*c, [&](const Candidate& x) { return x.p < min_p * most; });
  renormalise(c);
}

int32_t largest(std::span<const double> logits) {
  size_t best = 0;
  for (size_t i = 1; i < logits.size(); ++i) {
    if (logits[i] > logits[best] || std::isnan(logits[best])) best = i;
  }
  return static_cast<int32_t>(best);
}

}  // namespace

int32_t Sampler::choose(std::span<double> logits, std::span<const int32_t> seen) {
  const uint64_t step = step_++;
  if (options_.repetition_penalty != 1) {
    penalised_.assign(logits.size(), 0);
    for (const int32_t id : seen) {
      const auto i = static_cast<size_t>(id);
      if (penalised_[i]++ != 0) {
        penalised_[i] = 1;
        continue;
      }
      logits[i] = logits[i] < 0 ? logits[i] * options_.repetition_penalty
                                : logits[i] / options_.repetition_penalty;
    }
  }
  const int32_t top = largest(logits);
  const double most = logits[static_cast<size_t>(top)];
  if (options_.temperature == 0 || !std::isfinite(most)) return top;

  std::vector<Candidate> candidates;
  candidates.reserve(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    const double p = std::exp((logits[i] - most) / options_.temperature);
    if (p > 0) candidates.push_back({static_cast<int32_t>(i), p});
  }
  renormalise(&candidates);
  keep_top_k(&candidates, options_.top_k);
  keep_top_p(&candidates, options_.top_p);
  keep_min_p(&candidates, options_.min_p);

  BestFirst best(&candidates);
  const double u = random_uniform(options_.seed, stream_, step);
  double sum = 0;
  for (size_t i = 0; i < best.size(); ++i) {
    sum += best[i].p;
    if (u < sum) return best[i].id;
  }
  return candidates.back().id;
}

}  // namespace ettin
