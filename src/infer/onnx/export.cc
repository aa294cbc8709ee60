#include "infer/onnx/export.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "infer/generation_config.h"
#include "infer/locate_model.h"
#include "infer/new_folder.h"
#include "infer/onnx/graph.h"
#include "infer/onnx/prompt_template.h"
#include "model/model_folder.h"

namespace ettin {
namespace {

// A matrix of q8 or q4 is not rounded a second time, to the other one.
Status check_format(const ModelFolder& folder, OnnxFormat format) {
  const OnnxFormatInfo& info = onnx_format_info(format);
  if (format != OnnxFormat::q8 && !info.four_bits) return {};
  const WeightFormat other = info.four_bits ? WeightFormat::q8 : WeightFormat::q4;
  for (const FoundTensor& found : folder.plan) {
    for (const StoredMatrix& m : found.blocks) {
      if (m.format() != other) continue;
      const std::string_view stored = format_name(other);
      return Status(StatusCode::unsupported,
                    fmt::format("{} stores {} ({}) and cannot be written in {}",
                                folder.source.where(), stored, m.values->name, info.name),
                    fmt::format("for {} convert the original model", info.name));
    }
  }
  return {};
}

Result<std::vector<OnnxFormat>> choose_formats(const ModelFolder& folder,
                                               const OnnxExportOptions& options,
                                               std::vector<std::string>* warnings) {
  for (const OnnxFormat format : options.formats) {
    ETTIN_RETURN_IF_ERROR(check_format(folder, format));
  }
  if (!options.formats.empty()) return options.formats;
  std::vector<OnnxFormat> formats;
  for (const OnnxFormatInfo& info : kOnnxFormats) {
    const Status status = check_format(folder, info.format);
    if (status.ok()) {
      formats.push_back(info.format);
    } else {
      warnings->push_back(
          fmt::format("{} is left out: {}", onnx_format_info(info.format).name, status.message()));
    }
  }
  return formats;
}

Result<uint64_t> file_bytes(const std::string& path) {
  std::error_code error;
  const uint64_t bytes = std::filesystem::file_size(path, error);
  if (!error) return bytes;
  return Status(StatusCode::io_error, fmt::format("{}: {}", path, error.message()));
}

Result<OnnxFile> write_model(const ModelFolder& source, const std::string& folder,
                             OnnxFormat format, OnnxStyle style) {
  OnnxFile file;
  file.format = format;
  file.path = fmt::format("onnx/model{}.onnx", onnx_format_info(format).suffix);
  const std::string path = join_path(folder, file.path);
  ETTIN_ASSIGN_OR_RETURN(OnnxWriter writer, OnnxWriter::create(path));
  ETTIN_RETURN_IF_ERROR(write_onnx_graph(source, format, style, &writer));
  ETTIN_RETURN_IF_ERROR(writer.commit());
  file.parts = writer.parts();
  ETTIN_ASSIGN_OR_RETURN(file.bytes, file_bytes(path));
  for (int part = 0; part < file.parts; ++part) {
    const std::string suffix = part == 0 ? "_data" : fmt::format("_data_{}", part);
    ETTIN_ASSIGN_OR_RETURN(const uint64_t bytes, file_bytes(path + suffix));
    file.bytes += bytes;
  }
  return file;
}

// Browsers fetch the data themselves, so the config must say that there is some.
Status write_config(Json json, const std::string& to, const ModelConfig& config,
                    const std::vector<OnnxFile>& files) {
  if (json.erase("quantization_config") > 0) {
    json[json.contains("dtype") ? "dtype" : "torch_dtype"] = "float32";
  }
  Json parts = Json::object();
  for (const OnnxFile& file : files) {
    parts[std::filesystem::path(file.path).filename().string()] = file.parts;
  }
  if (!json["transformers.js_config"].is_object()) json["transformers.js_config"] = Json::object();
  json["transformers.js_config"]["use_external_data_format"] = std::move(parts);
  ETTIN_RETURN_IF_ERROR(write_file_atomic(join_path(to, "config.json"), dump_json(json, 2) + "\n"));
  return finish_generation_config(to, json, config.arm, config.head);
}

}  // namespace

Result<std::vector<OnnxFile>> export_onnx(const std::string& from, const std::string& to,
                                          const OnnxExportOptions& options,
                                          std::vector<std::string>* warnings) {
  ETTIN_ASSIGN_OR_RETURN(const ModelFiles located, locate_model(from));
  if (!located.checkpoint.empty()) {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: a training checkpoint is not written as ONNX at once", from),
                  "convert it to a folder first, and that to ONNX");
  }
  ETTIN_ASSIGN_OR_RETURN(NewFolder folder, NewFolder::create(located.directory, to, options.force));
  ETTIN_ASSIGN_OR_RETURN(const ModelFolder source,
                         read_model_folder(located, warnings, options.thetas));
  ETTIN_RETURN_IF_ERROR(check_levels(source.plan, source.source));
  ETTIN_ASSIGN_OR_RETURN(const std::vector<OnnxFormat> formats,
                         choose_formats(source, options, warnings));
  ETTIN_RETURN_IF_ERROR(folder.copy_small_files());
  if (source.config.arm.direction == Direction::causal) {
    ETTIN_RETURN_IF_ERROR(open_prompt_template(folder.path()));
  }
  std::error_code error;
  std::filesystem::create_directory(join_path(folder.path(), "onnx"), error);
  if (error) {
    return Status(StatusCode::io_error,
                  fmt::format("{}/onnx: cannot create: {}", folder.path(), error.message()));
  }
  std::vector<OnnxFile> files;
  for (const OnnxFormat format : formats) {
    ETTIN_ASSIGN_OR_RETURN(OnnxFile file,
                           write_model(source, folder.path(), format, options.style));
    files.push_back(std::move(file));
  }
  ETTIN_RETURN_IF_ERROR(write_config(source.settings, folder.path(), source.config, files));
  ETTIN_RETURN_IF_ERROR(folder.move_to_target());
  return files;
}

}  // namespace ettin
