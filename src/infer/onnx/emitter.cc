#include "infer/onnx/emitter.h"

#include <cstring>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "base/check.h"
#include "base/half.h"

namespace ettin {

OnnxEmitter::OnnxEmitter(OnnxWriter* writer, const ModelFolder& folder, OnnxFormat format,
                         OnnxStyle style)
    : writer_(*writer),
      folder_(folder),
      format_(onnx_format_info(format)),
      style_(style),
      weights_(writer, folder.source.where()) {
  for (const FoundTensor& found : folder.plan) plan_.emplace(found.spec.name, &found);
}

void OnnxEmitter::fail(Status status) {
  if (status_.ok()) status_ = std::move(status);
}

OnnxName OnnxEmitter::new_name(std::string_view type) {
  return fmt::format("{}{}{}_{}", scope_, scope_.empty() ? "" : "/", type, count_++);
}

void OnnxEmitter::node(std::string_view type, std::string_view domain,
                       const std::vector<OnnxName>& inputs, const std::vector<OnnxName>& outputs,
                       const OnnxAttributes& attributes) {
  if (status_.ok()) writer_.node(type, domain, inputs, outputs, attributes);
}

OnnxName OnnxEmitter::op(std::string_view type, const std::vector<OnnxName>& inputs,
                         const OnnxAttributes& attributes, OnnxName name) {
  if (name.empty()) name = new_name(type);
  node(type, kOnnxDomain, inputs, {name}, attributes);
  return name;
}

OnnxName OnnxEmitter::microsoft(std::string_view type, const std::vector<OnnxName>& inputs,
                                const OnnxAttributes& attributes) {
  OnnxName name = new_name(type);
  node(type, kMicrosoftDomain, inputs, {name}, attributes);
  return name;
}

OnnxName OnnxEmitter::constant(const std::string& key, OnnxType type,
                               std::span<const int64_t> shape, std::span<const std::byte> bytes) {
  const auto [at, added] = constants_.emplace(key, "constant_" + key);
  if (added && status_.ok()) writer_.constant(at->second, type, shape, bytes);
  return at->second;
}

OnnxName OnnxEmitter::ints(const std::vector<int64_t>& values) {
  const std::vector<int64_t> shape = {static_cast<int64_t>(values.size())};
  return constant(fmt::format("[{}]", fmt::join(values, ",")), OnnxType::i64, shape,
                  std::as_bytes(std::span(values)));
}

OnnxName OnnxEmitter::integer(int64_t value) {
  return constant(fmt::format("{}", value), OnnxType::i64, {}, std::as_bytes(std::span(&value, 1)));
}

OnnxName OnnxEmitter::number(double value, OnnxType type) {
  const auto narrow = static_cast<float>(value);
  if (type == OnnxType::f16) {
    const uint16_t half = float_to_fp16(narrow);
    return constant(fmt::format("{:.9g}_fp16", narrow), type, {},
                    std::as_bytes(std::span(&half, 1)));
  }
  ETTIN_CHECK(type == OnnxType::f32);
  return constant(fmt::format("{:.9g}_fp32", narrow), type, {},
                  std::as_bytes(std::span(&narrow, 1)));
}

OnnxName OnnxEmitter::cast(const OnnxName& x, OnnxType to, OnnxName name) {
  return op("Cast", {x}, {{"to", static_cast<int64_t>(to)}}, std::move(name));
}

OnnxName OnnxEmitter::reshape(const OnnxName& x, const std::vector<int64_t>& shape) {
  return op("Reshape", {x, ints(shape)});
}

OnnxName OnnxEmitter::unsqueeze(const OnnxName& x, const std::vector<int64_t>& axes) {
  return op("Unsqueeze", {x, ints(axes)});
}

OnnxName OnnxEmitter::size_of(const OnnxName& x, int64_t axis) {
  return op("Gather", {op("Shape", {x}), integer(axis)}, {{"axis", int64_t{0}}});
}

OnnxName OnnxEmitter::slice(const OnnxName& x, int64_t axis, int64_t begin, int64_t end) {
  return op("Slice", {x, ints({begin}), ints({end}), ints({axis})});
}

OnnxName OnnxEmitter::activate(const OnnxName& x, Activation activation) {
  const auto times = [&](const OnnxName& a, const OnnxName& b) { return op("Mul", {a, b}); };
  const auto plus = [&](const OnnxName& a, double b) { return op("Add", {a, number(b)}); };
  switch (activation) {
    case Activation::identity:
      return x;
    case Activation::gelu: {
      if (fused()) return microsoft("Gelu", {x});
      const OnnxName erf = op("Erf", {op("Div", {x, number(1.4142135623730951)})});
      return times(times(x, plus(erf, 1)), number(0.5));
    }
    case Activation::gelu_tanh: {
      if (fused()) return microsoft("FastGelu", {x});
      const OnnxName cube = times(times(times(x, x), x), number(0.044715));
      const OnnxName inner = times(op("Add", {x, cube}), number(0.7978845608028654));
      return times(times(x, plus(op("Tanh", {inner}), 1)), number(0.5));
    }
    case Activation::silu:
      return times(x, op("Sigmoid", {x}));
    case Activation::relu:
      return op("Relu", {x});
    case Activation::tanh:
      return op("Tanh", {x});
  }
  return x;
}

}  // namespace ettin
