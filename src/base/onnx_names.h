// The names that ONNX files of one model have, as transformers.js chooses them: onnx/model.onnx and
// a suffix for each kind of weights.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

// "q4f16", "uint8" and "bnb4": no other kind of file can be in such a format.
bool only_onnx_has(std::string_view dtype);

// Whether `dtype` names an ONNX file: "fp32", "fp16", "q8", "int8", "uint8", "q4", "q4f16", "bnb4".
bool is_onnx_dtype(std::string_view dtype);

// Those of `paths` that are onnx/model*.onnx or model*.onnx, in the order that "auto" tries them.
std::vector<std::string> onnx_files(std::span<const std::string> paths);
// The same, of a folder; none when there is no such folder.
Result<std::vector<std::string>> onnx_files(const std::string& directory);

// Of onnx_files' result, the one for `dtype`: "auto" takes the first; "q8" is model_quantized.onnx,
// "int8" model_int8.onnx or else model_quantized.onnx; bf16 and fp64 are made from fp32. `where`
// names the folder or the repository in the error, which lists what there is.
Result<std::string> choose_onnx_file(std::span<const std::string> files, std::string_view dtype,
                                     std::string_view where);

}  // namespace ettin
