#include "infer/onnx/masks.h"

#include <limits>

namespace ettin {
namespace {

// -1e4 because fp16 ends at 65504 and a score is added to it.
double least(OnnxType type) {
  return type == OnnxType::f16 ? -1e4 : double{std::numeric_limits<float>::lowest()};
}

}  // namespace

OnnxName OnnxMasks::batch() {
  return once(&batch_, [&] { return e_.size_of("input_ids", 0); });
}

OnnxName OnnxMasks::length() {
  return once(&length_, [&] { return e_.size_of("input_ids", 1); });
}

OnnxName OnnxMasks::total() {
  if (!cached_) return length();
  return once(&total_, [&] { return e_.size_of("attention_mask", 1); });
}

OnnxName OnnxMasks::columns() {
  return once(&columns_, [&] { return e_.op("Range", {e_.integer(0), total(), e_.integer(1)}); });
}

OnnxName OnnxMasks::rows() {
  if (!cached_) return columns();
  return once(&rows_, [&] {
    const OnnxName past = e_.op("Sub", {total(), length()});
    return e_.op("Range", {past, total(), e_.integer(1)});
  });
}

OnnxName OnnxMasks::expanded(const OnnxName& mask) {
  OnnxName& value = expanded_[mask];
  return once(&value, [&] {
    const OnnxName shape = once(&shape_, [&] {
      const std::vector<OnnxName> sizes = {e_.unsqueeze(batch(), {0}), e_.ints({1}),
                                           e_.unsqueeze(length(), {0}), e_.unsqueeze(total(), {0})};
      return e_.op("Concat", sizes, {{"axis", int64_t{0}}});
    });
    return e_.op("Expand", {mask, shape});
  });
}

OnnxName OnnxMasks::mask(const AttentionSpec& spec, bool whole) {
  const OnnxName never = e_.number(least(e_.type()));
  const OnnxName padding = once(&padding_, [&] {
    const OnnxName keep = e_.cast(e_.unsqueeze("attention_mask", {1, 2}), OnnxType::boolean);
    return e_.op("Where", {keep, e_.number(0), never});  // [B, 1, 1, T]
  });
  const bool left = spec.left < AttentionSpec::kUnlimited;
  const bool right = spec.right < AttentionSpec::kUnlimited;
  if (!left && !right) return whole ? expanded(padding) : padding;
  return once(&masks_[{spec.left, spec.right}], [&] {
    const OnnxName row = e_.unsqueeze(rows(), {1}), column = e_.unsqueeze(columns(), {0});
    std::vector<OnnxName> tests;
    const auto distance = [&] { return e_.op("Sub", {row, column}); };
    if (left && spec.left == spec.right) {
      tests = {e_.op("LessOrEqual", {e_.op("Abs", {distance()}), e_.integer(spec.left)})};
    } else {
      if (right && spec.right == 0) tests.push_back(e_.op("GreaterOrEqual", {row, column}));
      if (right && spec.right != 0) {
        tests.push_back(e_.op("GreaterOrEqual", {distance(), e_.integer(-spec.right)}));
      }
      if (left) tests.push_back(e_.op("LessOrEqual", {distance(), e_.integer(spec.left)}));
    }
    const OnnxName seen = tests.size() == 1 ? tests[0] : e_.op("And", tests);  // [S, T]
    return e_.op("Where", {seen, padding, never});                             // [B, 1, S, T]
  });
}

}  // namespace ettin
