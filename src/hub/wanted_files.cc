#include "hub/wanted_files.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/onnx_names.h"

namespace ettin {
namespace {

constexpr std::string_view kOnnxEnd = ".onnx";

// Files beside config.json that say how to compute.
constexpr std::string_view kSettings[] = {
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "modules.json",
    "config.json",
    "sentence_bert_config.json",
    "generation_config.json",
    "config_sentence_transformers.json",
};

class Listing {
 public:
  Listing(std::span<const std::string> paths, std::string_view repository)
      : paths_(paths), repository_(repository) {}

  bool has(std::string_view path) const {
    return std::find(paths_.begin(), paths_.end(), path) != paths_.end();
  }

  Result<std::vector<std::string>> weights(const WantedFiles& wanted) const {
    const std::string& dtype = wanted.dtype;
    const std::vector<std::string> onnx = onnx_files(paths_);
    if (!onnx.empty() && only_onnx_has(dtype)) return onnx_weights(onnx, dtype);
    if (has("model.safetensors")) return std::vector<std::string>{"model.safetensors"};
    if (has("model.safetensors.index.json")) {
      return shards("model-", ".safetensors", "model.safetensors.index.json");
    }
    if (has("pytorch_model.bin")) return std::vector<std::string>{"pytorch_model.bin"};
    if (has("pytorch_model.bin.index.json")) {
      return shards("pytorch_model-", ".bin", "pytorch_model.bin.index.json");
    }
    if (!onnx.empty()) return onnx_weights(onnx, dtype);
    return Status(StatusCode::unsupported, fmt::format("{} has no weights", repository_),
                  "model.safetensors, pytorch_model.bin or onnx/model.onnx is read");
  }

  // Dense layers and pooling of sentence-transformers: "2_Dense/model.safetensors".
  void add_modules(bool with_weights, std::vector<std::string>* chosen) const {
    for (const std::string& path : paths_) {
      const size_t slash = path.find('/');
      if (slash == std::string::npos || path[0] < '0' || path[0] > '9') continue;
      const std::string name = path.substr(slash + 1);
      const std::string safer = path.substr(0, slash + 1) + "model.safetensors";
      if (name == "config.json" ||
          (with_weights &&
           (name == "model.safetensors" || (name == "pytorch_model.bin" && !has(safer))))) {
        chosen->push_back(path);
      }
    }
  }

 private:
  std::vector<std::string> shards(std::string_view begin, std::string_view end,
                                  const char* index) const {
    std::vector<std::string> chosen;
    for (const std::string& path : paths_) {
      if (path.starts_with(begin) && path.ends_with(end) &&
          path.find("-of-") != std::string::npos && path.find('/') == std::string::npos) {
        chosen.push_back(path);
      }
    }
    chosen.emplace_back(index);
    return chosen;
  }

  Result<std::vector<std::string>> onnx_weights(std::span<const std::string> files,
                                                std::string_view dtype) const {
    ETTIN_ASSIGN_OR_RETURN(const std::string file, choose_onnx_file(files, dtype, repository_));
    return with_data(file);
  }

  std::vector<std::string> with_data(const std::string& file) const {
    std::vector<std::string> chosen;
    for (const std::string& path : paths_) {
      if (path.starts_with(file + "_data") || path.starts_with(file + ".data")) {
        chosen.push_back(path);
      }
    }
    chosen.push_back(file);
    return chosen;
  }

  std::span<const std::string> paths_;
  std::string_view repository_;
};

}  // namespace

Result<std::vector<std::string>> choose_files(std::span<const std::string> listed,
                                              const WantedFiles& wanted,
                                              std::string_view repository) {
  const Listing listing(listed, repository);
  std::vector<std::string> chosen;
  if (wanted.everything) {
    chosen.assign(listed.begin(), listed.end());
    std::stable_partition(chosen.begin(), chosen.end(), [](const std::string& path) {
      return !path.ends_with(".index.json") && !path.ends_with(kOnnxEnd);
    });
  } else {
    if (!listing.has("config.json")) {
      return Status(StatusCode::unsupported, fmt::format("{} has no config.json", repository),
                    "ettin loads models in the layout of transformers; --all pulls any repository");
    }
    if (wanted.weights) {
      ETTIN_ASSIGN_OR_RETURN(chosen, listing.weights(wanted));
    }
    if (listing.has("modules.json")) listing.add_modules(wanted.weights, &chosen);
    for (const std::string_view name : kSettings) {
      if (listing.has(name)) chosen.emplace_back(name);
    }
  }
  std::stable_partition(chosen.begin(), chosen.end(),
                        [](const std::string& path) { return path != "config.json"; });
  return chosen;
}

std::span<const std::string_view> files_to_remember() {
  static constexpr std::string_view kNames[] = {"tokenizer.json", "onnx/model.onnx"};
  return kNames;
}

}  // namespace ettin
