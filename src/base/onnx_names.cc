#include "base/onnx_names.h"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "base/file.h"

namespace ettin {
namespace {

struct OnnxFormat {
  std::string_view dtype, suffix;
};

// The order is that of "auto".
constexpr std::array<OnnxFormat, 8> kFormats{{{"fp32", ""},
                                              {"fp16", "_fp16"},
                                              {"q8", "_quantized"},
                                              {"int8", "_int8"},
                                              {"uint8", "_uint8"},
                                              {"q4", "_q4"},
                                              {"q4f16", "_q4f16"},
                                              {"bnb4", "_bnb4"}}};
constexpr std::array<std::string_view, 2> kFolders = {"onnx/", ""};

const OnnxFormat* format_of(std::string_view path) {
  for (const std::string_view folder : kFolders) {
    for (const OnnxFormat& f : kFormats) {
      if (path == fmt::format("{}model{}.onnx", folder, f.suffix)) return &f;
    }
  }
  return nullptr;
}

}  // namespace

bool only_onnx_has(std::string_view dtype) {
  return dtype == "q4f16" || dtype == "uint8" || dtype == "bnb4";
}

bool is_onnx_dtype(std::string_view dtype) {
  return std::any_of(kFormats.begin(), kFormats.end(),
                     [&](const OnnxFormat& f) { return f.dtype == dtype; });
}

std::vector<std::string> onnx_files(std::span<const std::string> paths) {
  std::vector<std::string> found;
  for (const std::string_view folder : kFolders) {
    for (const OnnxFormat& f : kFormats) {
      const std::string path = fmt::format("{}model{}.onnx", folder, f.suffix);
      if (std::find(paths.begin(), paths.end(), path) != paths.end()) found.push_back(path);
    }
  }
  return found;
}

Result<std::vector<std::string>> onnx_files(const std::string& directory) {
  std::vector<std::string> there;
  for (const std::string_view folder : kFolders) {
    const std::string inside = folder.empty() ? directory : join_path(directory, "onnx");
    ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> names, list_folder(inside, false));
    for (const std::string& name : names) {
      const std::string path = std::string(folder) + name;
      if (file_exists(join_path(directory, path))) there.push_back(path);
    }
  }
  return onnx_files(there);
}

Result<std::string> choose_onnx_file(std::span<const std::string> files, std::string_view dtype,
                                     std::string_view where) {
  if (dtype == "bf16" || dtype == "fp64") dtype = "fp32";
  const auto with = [&](std::string_view wanted) -> const std::string* {
    for (const std::string& file : files) {
      const OnnxFormat* f = format_of(file);
      if (f != nullptr && f->dtype == wanted) return &file;
    }
    return nullptr;
  };
  if (dtype == "auto" && !files.empty()) return files.front();
  const std::string* found = with(dtype);
  if (found == nullptr && dtype == "int8") found = with("q8");
  if (found != nullptr) return *found;
  std::string there;
  for (const std::string& file : files) {
    if (const OnnxFormat* f = format_of(file)) {
      there += fmt::format("{}{}", there.empty() ? "" : ", ", f->dtype);
    }
  }
  return Status(StatusCode::not_found,
                fmt::format("{} has no ONNX file for dtype {:.40}", where, dtype),
                fmt::format("it has {}", there.empty() ? "none" : there));
}

}  // namespace ettin
