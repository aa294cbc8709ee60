#include "model/find_tensors.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "tensor/quantize.h"

namespace ettin {
namespace {

constexpr std::string_view kEmbedding = "embeddings.tok_embeddings.weight";

using Shape = std::vector<uint64_t>;

bool is_backbone(std::string_view name) {
  return name.starts_with("embeddings.") || name.starts_with("layers.") ||
         name.starts_with("final_norm");
}

bool same_values(const StoredTensor& a, const StoredTensor& b) {
  if (a.shape != b.shape) return false;
  if (a.affine && b.affine && same_place(*a.affine, *b.affine)) return true;
  if (a.dtype == b.dtype && !a.affine && !b.affine) {
    return std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) == 0;
  }
  std::array<float, 1024> x, y;
  for (uint64_t i = 0; i < a.element_count(); i += x.size()) {
    const size_t n = std::min<uint64_t>(x.size(), a.element_count() - i);
    read_elements(a, i, std::span(x).first(n));
    read_elements(b, i, std::span(y).first(n));
    if (std::memcmp(x.data(), y.data(), n * sizeof(float)) != 0) return false;
  }
  return true;
}

bool same_values(const StoredMatrix& a, const StoredMatrix& b) {
  if (!a.quantized() && !b.quantized()) return same_values(*a.values, *b.values);
  return a.format() == b.format() && same_values(*a.values, *b.values) &&
         same_values(*a.scales, *b.scales);
}

// Looks every spec up and remembers what was wrong, so that one error can say it all.
class Finder {
 public:
  explicit Finder(const TensorSource& source) : source_(source) {
    prefix_ = source.find(kEmbedding) != nullptr ? "" : "model.";
  }

  FoundTensor find(const TensorSpec& spec) {
    FoundTensor found;
    found.spec = spec;
    const std::string base = file_name(spec.name);
    const auto rows = static_cast<uint64_t>(spec.rows), cols = static_cast<uint64_t>(spec.cols);
    if (spec.is_norm) {
      found.gain = take(base + ".weight", {cols});
      if (spec.bias) found.bias_blocks.push_back(take(base + ".bias", {cols}));
    } else if (spec.name.ends_with("attn.Wqkv") && source_.find(base + ".weight") == nullptr &&
               source_.find(qkv_name(base, 'q') + ".weight") != nullptr) {
      for (const char part : {'q', 'k', 'v'}) {
        take_matrix(qkv_name(base, part), rows / 3, cols, &found.blocks);
        if (spec.bias) {
          found.bias_blocks.push_back(take(qkv_name(base, part) + ".bias", {rows / 3}));
        }
      }
    } else if (spec.name.ends_with("mlp.Wi") && source_.find(base + ".weight") == nullptr &&
               source_.find(half_name(base, "activated") + ".weight") != nullptr) {
      for (const std::string_view half : {"activated", "gate"}) {
        take_matrix(half_name(base, half), rows / 2, cols, &found.blocks);
        if (spec.bias) {
          found.bias_blocks.push_back(take(half_name(base, half) + ".bias", {rows / 2}));
        }
      }
    } else {
      if (!spec.tied || source_.find(base + ".weight") != nullptr) {
        take_matrix(base, rows, cols, &found.blocks);
      }
      if (spec.bias) found.bias_blocks.push_back(take(base + ".bias", {rows}));
    }
    return found;
  }

  // Tensors of the source that nothing asked for.
  std::vector<std::string> extra() const {
    std::vector<std::string> names;
    for (const StoredTensor& t : source_.tensors()) {
      if (!used_.contains(t.name) && !t.name.ends_with("inv_freq")) names.push_back(t.name);
    }
    return names;
  }

  Status error(const std::vector<std::string>& extra) const {
    if (missing_.empty() && misshaped_.empty() && extra.empty()) return {};
    std::string message = fmt::format("{}: the tensors do not fit config.json", source_.where());
    const auto list = [&](std::string_view what, const std::vector<std::string>& names) {
      if (names.empty()) return;
      constexpr size_t kShown = 40;
      const size_t shown = std::min(names.size(), kShown);
      message +=
          fmt::format("; {} {}: {}", names.size(), what,
                      fmt::join(names.begin(), names.begin() + static_cast<long>(shown), ", "));
      if (names.size() > shown) message += ", ...";
    };
    list("missing", missing_);
    list("misshaped", misshaped_);
    list("not used", extra);
    return Status(StatusCode::bad_data, message,
                  missing_.empty() && misshaped_.empty()
                      ? "load with allow_extra_tensors to ignore what is not used"
                      : "the weights belong to another config.json, or a file is incomplete");
  }

 private:
  static std::string qkv_name(std::string base, char part) {
    base.replace(base.size() - 4, 4, fmt::format("{}_proj", part));  // "Wqkv" -> "q_proj"
    return base;
  }

  // Of ONNX graphs that keep the halves of the MLP apart (formats/onnx/import.h).
  static std::string half_name(std::string base, std::string_view half) {
    base.replace(base.size() - 2, 2, fmt::format("{}_proj", half));  // "Wi" -> "gate_proj"
    return base;
  }

  std::string file_name(const std::string& name) const {
    if (is_backbone(name)) return prefix_ + name;
    if (name.starts_with("head.") && source_.find(name + ".weight") == nullptr &&
        source_.find("lm_" + name + ".weight") != nullptr) {
      return "lm_" + name;
    }
    return name;
  }

  const StoredTensor* look_up(const std::string& name) {
    const StoredTensor* t = source_.find(name);
    if (t == nullptr) {
      missing_.push_back(name);
    } else {
      used_.insert(name);
    }
    return t;
  }

  bool has_shape(const StoredTensor& t, const Shape& shape) {
    if (t.shape == shape) return true;
    misshaped_.push_back(fmt::format("{} is {} and should be {}", t.name, shape_to_string(t.shape),
                                     shape_to_string(shape)));
    return false;
  }

  // A floating tensor, or nullptr and a remembered fault.
  const StoredTensor* take(const std::string& name, const Shape& shape) {
    const StoredTensor* t = look_up(name);
    if (t == nullptr || !has_shape(*t, shape)) return nullptr;
    if (!t->floating()) {
      misshaped_.push_back(
          fmt::format("{} holds {}, not floating point", name, dtype_name(t->dtype)));
      return nullptr;
    }
    return t;
  }

  // BASE.weight of floating point, or with BASE.weight_scale as tensor/stored_matrix.h says.
  void take_matrix(const std::string& base, uint64_t rows, uint64_t cols,
                   std::vector<StoredMatrix>* blocks) {
    const std::string name = base + ".weight";
    const StoredTensor* t = source_.find(name);
    if (t == nullptr || t->floating() || (t->dtype != Dtype::i8 && t->dtype != Dtype::u8)) {
      if (const StoredTensor* floating = take(name, {rows, cols})) blocks->emplace_back(floating);
      return;
    }
    const bool q8 = t->dtype == Dtype::i8;
    const auto blocks_of_row = static_cast<uint64_t>(q4_blocks(static_cast<int64_t>(cols)));
    const Shape values_shape = {rows, q8 ? cols : (cols + 1) / 2};
    const Shape scales_shape = q8 ? Shape{rows} : Shape{rows, blocks_of_row};
    const Dtype scales_dtype = q8 ? Dtype::f32 : Dtype::f16;
    used_.insert(name);
    const StoredTensor* scales = look_up(base + ".weight_scale");
    const bool fits = has_shape(*t, values_shape);
    if (scales == nullptr || !has_shape(*scales, scales_shape) || !fits) return;
    if (scales->dtype != scales_dtype) {
      misshaped_.push_back(fmt::format("{} holds {} and should hold {}, because {} holds {}",
                                       scales->name, dtype_name(scales->dtype),
                                       dtype_name(scales_dtype), name, dtype_name(t->dtype)));
      return;
    }
    blocks->emplace_back(t, scales, static_cast<int64_t>(cols));
  }

  const TensorSource& source_;
  std::string prefix_;
  std::set<std::string> used_;
  std::vector<std::string> missing_, misshaped_;
};

// What only files of other tools hold.
bool is_foreign(WeightFormat format) {
  return format == WeightFormat::int8 || format == WeightFormat::weight_only;
}

// One layout serves both: in blocks of the same size and width where there are blocks.
bool same_format(const StoredMatrix& a, const StoredMatrix& b) {
  if (a.format() != b.format()) return false;
  if (a.format() != WeightFormat::weight_only) return true;
  const AffineMatrix& x = *a.values->affine;
  const AffineMatrix& y = *b.values->affine;
  return x.block == y.block && number_bits(x.values.kind) == number_bits(y.values.kind);
}

bool is_quantized(WeightFormat format) {
  return format == WeightFormat::q8 || format == WeightFormat::q4;
}

Status bad_levels(const TensorSource& source, const StoredTensor& t, std::string_view why) {
  return Status(StatusCode::bad_data, fmt::format("{}: {} {}", source.where(), t.name, why),
                "the file is damaged: quantise the original again with `ettin quantize`");
}

// Levels of rows that were not rotated would be taken for others.
Status check_rotation(const ModelConfig& config, const TensorSource& source,
                      std::span<const FoundTensor> plan) {
  if (config.q8_rotated) return {};
  for (const FoundTensor& found : plan) {
    for (const StoredMatrix& m : found.blocks) {
      if (m.format() != WeightFormat::q8) continue;
      return Status(StatusCode::unsupported,
                    fmt::format("{}: {} is q8, but \"quantization_config\" of config.json has no "
                                "\"rotation\"",
                                source.where(), m.values->name),
                    "quantise the original again with `ettin quantize`");
    }
  }
  return {};
}

}  // namespace

Result<std::vector<FoundTensor>> find_tensors(const ModelConfig& config, const TensorSource& source,
                                              const LoadOptions& options,
                                              std::vector<std::string>* warnings) {
  Finder finder(source);
  std::vector<FoundTensor> plan;
  for_each_tensor(config, [&](const TensorSpec& spec) { plan.push_back(finder.find(spec)); });
  const std::vector<std::string> extra = finder.extra();
  ETTIN_RETURN_IF_ERROR(
      finder.error(options.allow_extra_tensors ? std::vector<std::string>() : extra));
  ETTIN_RETURN_IF_ERROR(check_rotation(config, source, plan));
  if (!extra.empty()) {
    warnings->push_back(
        fmt::format("{}: ignored {} tensors that nothing uses", source.where(), extra.size()));
  }
  for (FoundTensor& found : plan) {
    if (!found.spec.tied || found.blocks.empty()) continue;
    found.differs_from_embedding = !same_values(found.blocks[0], plan.front().blocks[0]);
    // Quantised files round the two in ways of their own.
    if (!found.differs_from_embedding) {
      // One matrix serves both: the way in which the head is multiplied is the one to keep.
      if (found.blocks[0].format() == WeightFormat::int8) plan.front().blocks = found.blocks;
      continue;
    }
    if (found.blocks[0].stored_integers()) continue;
    warnings->push_back(
        fmt::format("{}: decoder.weight differs from the embedding although config.json ties them; "
                    "using it as stored",
                    source.where()));
  }
  return plan;
}

std::string_view stored_name(const StoredMatrix& matrix) {
  if (matrix.quantized()) return format_name(matrix.format());
  if (const auto& affine = matrix.values->affine; affine != nullptr && affine->quantized()) {
    return number_bits(affine->values.kind) == 4 ? "int4" : "int8";
  }
  return dtype_name(matrix.values->dtype);
}

Result<WeightFormat> choose_format(const FoundTensor& found, WeightFormat wanted,
                                   const LoadOptions& options, const TensorSource& source) {
  const std::vector<StoredMatrix>& blocks = found.blocks;
  if (options.as_stored) {
    const bool same = std::all_of(blocks.begin(), blocks.end(),
                                  [&](const StoredMatrix& m) { return same_format(m, blocks[0]); });
    wanted = same ? blocks[0].format() : WeightFormat::f32;
    if (options.expand && is_foreign(wanted)) wanted = WeightFormat::f32;
  }
  if (!is_quantized(wanted) && wanted != WeightFormat::int8) return wanted;
  // 127 * 127 * in_features must fit into the 32 bits in which kernels sum, and 128 times the sum
  // of a row's levels too.
  const int64_t most_in = wanted == WeightFormat::int8 ? 1 << 15 : 1 << 17;
  if (!blocks.empty() && blocks[0].in_features > most_in) {
    return Status(
        StatusCode::unsupported,
        fmt::format("{}: {} has {} input features; {} takes at most {}", source.where(),
                    blocks[0].values->name, blocks[0].in_features, format_name(wanted), most_in),
        "choose bf16 or fp32");
  }
  for (const StoredMatrix& m : blocks) {
    if (!m.quantized() || m.format() == wanted) continue;
    const std::string_view stored = format_name(m.format());
    return Status(StatusCode::unsupported,
                  fmt::format("{} stores {} ({}) and cannot be computed in {}", source.where(),
                              stored, m.values->name, format_name(wanted)),
                  fmt::format("it can give {}, bf16 and fp32; for {} quantise the original again",
                              stored, format_name(wanted)));
  }
  return wanted;
}

Status check_levels(std::span<const FoundTensor> plan, const TensorSource& source) {
  std::array<float, 1024> scales;
  for (const FoundTensor& found : plan) {
    for (const StoredMatrix& m : found.blocks) {
      if (!m.quantized()) continue;
      const uint64_t count = m.scales->element_count();
      for (uint64_t i = 0; i < count; i += scales.size()) {
        const auto some = std::span(scales).first(std::min<uint64_t>(scales.size(), count - i));
        read_elements(*m.scales, i, some);
        if (!std::all_of(some.begin(), some.end(), [](float s) { return std::isfinite(s); })) {
          return bad_levels(source, *m.scales, "holds a scale that is not finite");
        }
      }
      // -128 would leave the range that integer kernels rely on.
      if (m.format() == WeightFormat::q8 && !m.values->bytes.empty() &&
          std::memchr(m.values->bytes.data(), 0x80, m.values->bytes.size()) != nullptr) {
        return bad_levels(source, *m.values, "holds -128; the levels of q8 are -127 to 127");
      }
    }
  }
  return {};
}

}  // namespace ettin
