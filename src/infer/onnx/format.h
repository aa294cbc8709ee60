// The five files that transformers.js knows a model by.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "formats/onnx_writer.h"

namespace ettin {

enum class OnnxFormat : uint8_t { fp32, fp16, q8, q4, q4f16 };

struct OnnxFormatInfo {
  OnnxFormat format;
  std::string_view name;    // of --dtype, and of transformers.js's dtype
  std::string_view suffix;  // of the file
  OnnxType activations;     // of everything between the inputs and the outputs
  bool four_bits;           // matrices in blocks of 4 bits
};

inline constexpr std::array<OnnxFormatInfo, 5> kOnnxFormats = {
    {{OnnxFormat::fp32, "fp32", "", OnnxType::f32, false},
     {OnnxFormat::fp16, "fp16", "_fp16", OnnxType::f16, false},
     {OnnxFormat::q8, "q8", "_quantized", OnnxType::f32, false},
     {OnnxFormat::q4, "q4", "_q4", OnnxType::f32, true},
     {OnnxFormat::q4f16, "q4f16", "_q4f16", OnnxType::f16, true}}};

inline const OnnxFormatInfo& onnx_format_info(OnnxFormat format) {
  return kOnnxFormats[static_cast<size_t>(format)];
}

// fused: few nodes, with operators of com.microsoft. portable: operators of the standard alone, but
// for matrices of 4 bits, which it has none for in this version.
enum class OnnxStyle : uint8_t { fused, portable };

inline std::string_view onnx_style_name(OnnxStyle style) {
  return style == OnnxStyle::fused ? "fused" : "portable";
}

}  // namespace ettin
