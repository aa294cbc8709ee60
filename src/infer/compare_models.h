// How far two models of one network lie apart on texts: what `ettin quantize --report` reports.
#pragma once

#include <cstdint>
#include <span>

#include "ettin/tasks.h"
#include "infer/session.h"

namespace ettin {

// Sums over compared positions; the means are divided by `positions`.
//
// A decoder is compared at every token, as score() reads them. An encoder is compared behind masks:
// in text n (counted from 0) every seventh token is masked at once, beginning with token n % 7 (or
// n % its tokens, when it has fewer); special tokens do not count and are never masked.
struct ModelDifference {
  int64_t texts = 0;
  int64_t truncated = 0;  // texts that were cut to the model's length
  int64_t positions = 0;
  int64_t same_top1 = 0;  // the likeliest token is the same, ties to the lower id
  double kl = 0;          // KL(original || other) over the whole vocabulary, in nats
  double max_kl = 0;
  double probability_change = 0;  // |p - p'| of the true token
  double logprob_original = 0;    // of the true tokens
  double logprob_other = 0;

  double top1_agreement() const;
  double mean_kl() const;
  double mean_probability_change() const;
  // exp(-mean log-probability). Of an encoder: over its masked tokens.
  double perplexity_original() const;
  double perplexity_other() const;
};

inline constexpr int64_t kMaskEvery = 7;

// Adds texts to *sum: the next ones after those that it has seen. Longer texts are cut. Both models
// must have the same tokenizer and vocabulary, and a language-model head. Divergences are computed
// in double, and the same for any number of threads.
Status compare_models(const Session& original, const Session& other,
                      std::span<const TextInput> texts, ModelDifference* sum);

}  // namespace ettin
