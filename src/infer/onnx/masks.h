// Sizes, positions and masks of a graph, each made when it is first asked for.
#pragma once

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

#include "backend/attention_spec.h"
#include "infer/onnx/emitter.h"

namespace ettin {

// S: tokens of the input. P: tokens in the caches. T = P + S: what attention_mask covers. Positions
// count from the first column of attention_mask, padding included: rotations are relative, so
// padding on the left moves every token alike.
class OnnxMasks {
 public:
  // cached: there are inputs past_key_values.*.
  OnnxMasks(OnnxEmitter* emitter, bool cached) : e_(*emitter), cached_(cached) {}

  OnnxName batch();    // B, a scalar
  OnnxName length();   // S, a scalar
  OnnxName total();    // T, a scalar
  OnnxName rows();     // [S] positions of the tokens
  OnnxName columns();  // [T] positions of the keys

  // What attention adds to scores: 0, or so much that exp gives 0. [B, 1, 1 or S, T], in the type
  // of the activations; whole: never 1.
  OnnxName mask(const AttentionSpec& spec, bool whole);
  // 0 or the like for keys that are padding.
  OnnxName padding(bool whole) { return mask({}, whole); }

 private:
  OnnxName expanded(const OnnxName& mask);

  template <class Fn>
  const OnnxName& once(OnnxName* value, Fn make) {
    if (value->empty()) *value = make();
    return *value;
  }

  OnnxEmitter& e_;
  const bool cached_;
  OnnxName batch_, length_, total_, past_, rows_, columns_, padding_, shape_;
  std::map<std::pair<int64_t, int64_t>, OnnxName> masks_;  // by left and right
  std::map<OnnxName, OnnxName> expanded_;
};

}  // namespace ettin
