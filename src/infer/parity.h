// Whether two models give the same answers: the work of `ettin verify`.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "ettin/tasks.h"
#include "infer/session.h"
#include "model/model_folder.h"

namespace ettin {

// The first token at which two tokenizers part.
struct TokenDifference {
  int64_t text = 0;  // counted from 0
  int64_t position = 0;
  int32_t id_a = -1, id_b = -1;  // -1: one of the two has ended
};

inline constexpr std::string_view kLogits = "logits";

// Sums over texts. Outputs are vocabulary logits at every token, a classifier's logits, or, of a
// model without a head, hidden states.
struct Parity {
  int64_t texts = 0, tokens = 0;
  int64_t other_tokens = 0;  // texts whose ids differ; their outputs are not compared
  std::optional<TokenDifference> first_tokens;

  std::string_view what;  // "logits" or "hidden states"
  int64_t rows = 0;       // of outputs
  int64_t values = 0;
  double max_difference = 0;  // infinite where only one is finite
  double sum_of_differences = 0;
  double largest = 0;                                      // magnitude of a's outputs
  int64_t same_top_1 = 0, same_top_k = 0, same_order = 0;  // of the rows; top-k as a set, in order

  double relative() const;  // max_difference / largest
};

// Adds texts; longer ones are cut to the models' length. The models must agree in kind, head and
// the width of their outputs.
Status compare_outputs(const Session& a, const Session& b, std::span<const TextInput> texts,
                       int64_t top_k, Parity* sum);

struct ParityBounds {
  double relative = 0;     // on Parity::relative()
  double other_top_1 = 0;  // on the share of rows with another likeliest token; one row is allowed
};

// relative: 1e-4 + 8 (r_a + r_b), where r is what storing does to a weight relative to it: 2^-24
// fp32, 2^-11 fp16, 2^-8 bf16, 1/254 of a row's largest q8, 1/16 of a block's q4. Engines in fp32
// agree to 1.1e-5 on weights that amplify rounding (docs/accuracy.md), so 1e-4 leaves ten times
// that; 8 is three times the growth that rounding the embedded pair to q8 showed.
// other_top_1: 0.001 + t_a + t_b with t 0 for fp32, 0.005 fp16, 0.02 bf16, 0.05 q8, 0.25 q4: twice
// to five times what the embedded pair shows, whose likeliest tokens lie close together.
ParityBounds parity_bounds(const ModelFolder& a, const ModelFolder& b);

// Whether all texts have the same ids and the outputs lie within the bounds.
bool within(const ParityBounds& bounds, const Parity& parity);

// The coarsest type in which a folder stores its matrices.
std::string_view coarsest_stored(const ModelFolder& folder);

}  // namespace ettin
