// A model folder as ONNX files: the work of `ettin convert --format onnx`.
#pragma once

#include <string>
#include <vector>

#include "ettin/status.h"
#include "infer/onnx/format.h"
#include "model/config.h"

namespace ettin {

struct OnnxExportOptions {
  std::vector<OnnxFormat> formats;  // empty: every one that the model's own format can give
  OnnxStyle style = OnnxStyle::fused;
  AskedThetas thetas;  // in place of the source's own
  bool force = false;  // replace a model folder that is at the target
};

struct OnnxFile {
  OnnxFormat format;
  std::string path;    // inside the folder: "onnx/model_q4.onnx"
  int parts = 1;       // files of data beside it
  uint64_t bytes = 0;  // of all of them
};

// Writes a folder `to` that transformers.js loads: config.json that says where the data is, copies
// of the small files, for decoders generation_config.json and prompts that end as ettin's do
// (prompt_template.h), and onnx/. Complete or absent. What a user should know is appended to
// *warnings.
Result<std::vector<OnnxFile>> export_onnx(const std::string& from, const std::string& to,
                                          const OnnxExportOptions& options,
                                          std::vector<std::string>* warnings);

}  // namespace ettin
