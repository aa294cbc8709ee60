#include "model/save.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include <fmt/format.h>

#include "base/half.h"
#include "formats/safetensors.h"
#include "model/find_tensors.h"
#include "tensor/quantize.h"

namespace ettin {
namespace {

template <class T>
std::span<const std::byte> bytes_of(const std::vector<T>& values) {
  return std::as_bytes(std::span(values));
}

StoredTensor declare(std::string name, Dtype dtype, std::vector<uint64_t> shape) {
  StoredTensor t;
  t.name = std::move(name);
  t.dtype = dtype;
  t.shape = std::move(shape);
  return t;
}

class Saver {
 public:
  Saver(const TensorSource& source, WeightFormat format) : source_(source), format_(format) {}

  // What will be written, without its bytes.
  std::vector<StoredTensor> declare_all(std::span<const FoundTensor> plan) const {
    std::vector<StoredTensor> all;
    each(
        plan,
        [&](const StoredTensor& t) {
          all.push_back(declare(t.name, Dtype::f32, t.shape));
          return Status();
        },
        [&](const StoredMatrix& m) {
          const auto out = static_cast<uint64_t>(m.out_features());
          const auto in = static_cast<uint64_t>(m.in_features);
          const std::string& name = m.values->name;
          if (format_ == WeightFormat::bf16) {
            all.push_back(declare(name, Dtype::bf16, {out, in}));
          } else if (format_ == WeightFormat::q8) {
            all.push_back(declare(name, Dtype::i8, {out, in}));
            all.push_back(declare(scale_name(m), Dtype::f32, {out}));
          } else {
            const auto blocks = static_cast<uint64_t>(q4_blocks(m.in_features));
            all.push_back(declare(name, Dtype::u8, {out, (in + 1) / 2}));
            all.push_back(declare(scale_name(m), Dtype::f16, {out, blocks}));
          }
          return Status();
        })
        .ok();
    return all;
  }

  Status write_all(std::span<const FoundTensor> plan, SafetensorsWriter* writer) const {
    return each(
        plan, [&](const StoredTensor& t) { return write_floats(t, writer); },
        [&](const StoredMatrix& m) {
          if (format_ == WeightFormat::bf16) return write_bf16(m, writer);
          return format_ == WeightFormat::q8 ? write_q8(m, writer) : write_q4(m, writer);
        });
  }

 private:
  // Calls one of the two for everything that the plan stores, in its order.
  template <class OnFloats, class OnMatrix>
  static Status each(std::span<const FoundTensor> plan, OnFloats on_floats, OnMatrix on_matrix) {
    for (const FoundTensor& found : plan) {
      if (found.gain != nullptr) ETTIN_RETURN_IF_ERROR(on_floats(*found.gain));
      if (!found.spec.tied || found.differs_from_embedding) {
        for (const StoredMatrix& m : found.blocks) ETTIN_RETURN_IF_ERROR(on_matrix(m));
      }
      for (const StoredTensor* bias : found.bias_blocks) ETTIN_RETURN_IF_ERROR(on_floats(*bias));
    }
    return {};
  }

  static std::string scale_name(const StoredMatrix& m) { return m.values->name + "_scale"; }

  // The rounding rules are for finite rows, whose scales are finite too.
  Status check_row(const StoredMatrix& m, int64_t row, std::span<const float> scales) const {
    std::vector<float> wide(static_cast<size_t>(m.in_features));
    read_row(m, row, wide);
    const auto finite = [](float x) { return std::isfinite(x); };
    if (std::all_of(wide.begin(), wide.end(), finite) &&
        std::all_of(scales.begin(), scales.end(), finite)) {
      return {};
    }
    return Status(StatusCode::bad_data,
                  fmt::format("{}: row {} of {} holds NaN, infinity or values beyond the scales of "
                              "{}",
                              source_.where(), row, m.values->name, format_name(format_)),
                  "the model cannot be quantised: use --dtype bf16");
  }

  static Status write_floats(const StoredTensor& t, SafetensorsWriter* writer) {
    std::vector<float> values(t.element_count());
    read_elements(t, 0, std::span(values));
    return writer->write(t.name, 0, bytes_of(values));
  }

  static Status write_bf16(const StoredMatrix& m, SafetensorsWriter* writer) {
    std::vector<float> wide(static_cast<size_t>(m.in_features));
    std::vector<uint16_t> halves(wide.size());
    for (int64_t r = 0; r < m.out_features(); ++r) {
      read_row(m, r, wide);
      for (size_t i = 0; i < wide.size(); ++i) halves[i] = float_to_bf16(wide[i]);
      ETTIN_RETURN_IF_ERROR(writer->write(
          m.values->name, static_cast<uint64_t>(r) * 2 * wide.size(), bytes_of(halves)));
    }
    return {};
  }

  Status write_q8(const StoredMatrix& m, SafetensorsWriter* writer) const {
    std::vector<int8_t> levels(static_cast<size_t>(m.in_features));
    std::vector<float> scales(static_cast<size_t>(m.out_features()));
    for (int64_t r = 0; r < m.out_features(); ++r) {
      const float scale = read_row_q8(m, r, levels);
      ETTIN_RETURN_IF_ERROR(check_row(m, r, {&scale, 1}));
      scales[static_cast<size_t>(r)] = scale;
      ETTIN_RETURN_IF_ERROR(writer->write(m.values->name, static_cast<uint64_t>(r) * levels.size(),
                                          bytes_of(levels)));
    }
    return writer->write(scale_name(m), 0, bytes_of(scales));
  }

  Status write_q4(const StoredMatrix& m, SafetensorsWriter* writer) const {
    std::vector<uint8_t> nibbles(static_cast<size_t>(m.in_features));
    std::vector<uint8_t> bytes((nibbles.size() + 1) / 2);
    std::vector<uint16_t> scales(static_cast<size_t>(q4_blocks(m.in_features)));
    std::vector<float> wide_scales(scales.size());
    for (int64_t r = 0; r < m.out_features(); ++r) {
      read_row_q4(m, r, nibbles, scales);
      std::transform(scales.begin(), scales.end(), wide_scales.begin(), fp16_to_float);
      ETTIN_RETURN_IF_ERROR(check_row(m, r, wide_scales));
      for (size_t i = 0; i < bytes.size(); ++i) {
        const int high = 2 * i + 1 < nibbles.size() ? nibbles[2 * i + 1] : kQ4Zero;
        bytes[i] = static_cast<uint8_t>(nibbles[2 * i] | high << 4);
      }
      const auto row = static_cast<uint64_t>(r);
      ETTIN_RETURN_IF_ERROR(writer->write(m.values->name, row * bytes.size(), bytes_of(bytes)));
      ETTIN_RETURN_IF_ERROR(
          writer->write(scale_name(m), row * 2 * scales.size(), bytes_of(scales)));
    }
    return {};
  }

  const TensorSource& source_;
  const WeightFormat format_;
};

}  // namespace

Status save_tensors(const ModelConfig& config, const TensorSource& source,
                    const LoadOptions& options, WeightFormat format, const std::string& path,
                    std::vector<std::string>* warnings) {
  if (format < WeightFormat::bf16) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{} is not a format to quantise to", format_name(format)),
                  "choose bf16, q8 or q4");
  }
  ETTIN_ASSIGN_OR_RETURN(const std::vector<FoundTensor> plan,
                         find_tensors(config, source, options, warnings));
  ETTIN_RETURN_IF_ERROR(check_levels(plan, source));
  for (const FoundTensor& found : plan) {
    ETTIN_RETURN_IF_ERROR(choose_format(found, format, options, source).status());
  }
  const Saver saver(source, format);
  ETTIN_ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::create(path, saver.declare_all(plan), {{"format", "pt"}}));
  ETTIN_RETURN_IF_ERROR(saver.write_all(plan, &writer));
  return writer.commit();
}

}  // namespace ettin
