#include "formats/tensor_source.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "base/onnx_names.h"
#include "formats/composer_checkpoint.h"
#include "formats/onnx/import.h"
#include "formats/safetensors.h"
#include "formats/torch_file.h"

namespace ettin {
namespace {

constexpr size_t kMaxShards = 1000;

enum class Format : uint8_t { safetensors, torch, onnx };

struct Candidate {
  std::string_view name;
  Format format;
  bool index;
};

constexpr std::array<Candidate, 4> kCandidates{{
    {"model.safetensors", Format::safetensors, false},
    {"model.safetensors.index.json", Format::safetensors, true},
    {"pytorch_model.bin", Format::torch, false},
    {"pytorch_model.bin.index.json", Format::torch, true},
}};

struct WeightFile {
  std::vector<StoredTensor> tensors;
  std::vector<std::shared_ptr<const void>> owners;
  std::vector<std::string> files;
  std::shared_ptr<const GraphFacts> graph;
};

Result<WeightFile> read_weight_file(const std::string& path, Format format) {
  WeightFile out;
  if (format == Format::onnx) {
    ETTIN_ASSIGN_OR_RETURN(onnx::Imported imported, onnx::import_onnx(path));
    out.tensors = std::move(imported.tensors);
    out.owners = std::move(imported.owners);
    out.files = std::move(imported.files);
    out.graph = std::make_shared<const GraphFacts>(std::move(imported.facts));
    return out;
  }
  ETTIN_ASSIGN_OR_RETURN(MappedFile mapped, MappedFile::open(path));
  const auto map = std::make_shared<const MappedFile>(std::move(mapped));
  out.owners.push_back(map);
  out.files = {path};
  if (format == Format::safetensors) {
    ETTIN_ASSIGN_OR_RETURN(SafetensorsFile file, parse_safetensors(map->bytes(), path));
    out.tensors = std::move(file.tensors);
  } else {
    ETTIN_ASSIGN_OR_RETURN(TorchFile file, parse_torch_file(map->bytes(), path));
    out.tensors = std::move(file.tensors);
    ETTIN_RETURN_IF_ERROR(rename_training_tensors(&out.tensors, path));
    if (file.owner) out.owners.push_back(std::move(file.owner));
  }
  const std::span<const std::byte> whole = map->bytes();
  for (StoredTensor& tensor : out.tensors) {
    tensor.mapped = tensor.bytes.data() >= whole.data() &&
                    tensor.bytes.data() + tensor.bytes.size() <= whole.data() + whole.size();
  }
  return out;
}

struct ShardIndex {
  std::vector<std::string> files;                       // in the order of first mention
  std::unordered_map<std::string, size_t> file_number;  // file name to place in `files`
  std::unordered_map<std::string, size_t> tensor_file;  // tensor name to place in `files`
};

Result<ShardIndex> read_shard_index(const std::string& path) {
  const auto bad = [&](std::string_view why) {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", path, why));
  };
  ETTIN_ASSIGN_OR_RETURN(const Json json, parse_json_file(path));
  const Json* map = json_member(json, "weight_map");
  if (map == nullptr || !map->is_object() || map->empty()) {
    return bad("key \"weight_map\" should be an object that names tensors and their files");
  }
  ShardIndex index;
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string()) {
      return bad(fmt::format("\"weight_map\": the file of \"{:.80}\" should be a string, but is {}",
                             name, file.type_name()));
    }
    const std::string& file_name = file.get_ref<const std::string&>();
    const auto [it, added] = index.file_number.emplace(file_name, index.files.size());
    if (added) index.files.push_back(file_name);
    if (index.files.size() > kMaxShards) {
      return bad(fmt::format("more than {} weight files", kMaxShards));
    }
    index.tensor_file.emplace(name, it->second);
  }
  return index;
}

}  // namespace

TensorSource TensorSource::from_tensors(std::vector<StoredTensor> tensors,
                                        std::shared_ptr<const void> owner, std::string where,
                                        std::vector<std::string> files) {
  TensorSource source;
  source.files_ = std::move(files);
  source.tensors_ = std::move(tensors);
  for (size_t i = 0; i < source.tensors_.size(); ++i) {
    source.by_name_.emplace(source.tensors_[i].name, i);
  }
  if (owner) source.owners_.push_back(std::move(owner));
  source.where_ = std::move(where);
  return source;
}

const StoredTensor* TensorSource::find(std::string_view name) const {
  const auto it = by_name_.find(std::string(name));
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

Result<TensorSource> TensorSource::open_file(const std::string& path) {
  const auto ends_with = [&](std::string_view suffix) { return path.ends_with(suffix); };
  Format format = Format::safetensors;
  if (ends_with(".bin") || ends_with(".pt") || ends_with(".pth")) {
    format = Format::torch;
  } else if (ends_with(".onnx")) {
    format = Format::onnx;
  } else if (!ends_with(".safetensors")) {
    return Status(StatusCode::unsupported, fmt::format("{}: not a kind of weight file", path),
                  "weights are read from *.safetensors, *.onnx, *.bin, *.pt and *.pth");
  }
  ETTIN_ASSIGN_OR_RETURN(WeightFile file, read_weight_file(path, format));
  TensorSource source = from_tensors(std::move(file.tensors), nullptr, path);
  source.owners_ = std::move(file.owners);
  source.files_ = std::move(file.files);
  source.graph_ = std::move(file.graph);
  return source;
}

bool TensorSource::has_weights(const std::string& directory) {
  const Result<std::vector<std::string>> onnx = onnx_files(directory);
  if (onnx.ok() && !onnx->empty()) return true;
  return std::any_of(kCandidates.begin(), kCandidates.end(), [&](const Candidate& candidate) {
    return file_exists(join_path(directory, candidate.name));
  });
}

Result<TensorSource> TensorSource::open(const std::string& directory, std::string_view dtype) {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> onnx, onnx_files(directory));
  const Candidate* found = nullptr;
  if (onnx.empty() || !only_onnx_has(dtype)) {
    for (const Candidate& candidate : kCandidates) {
      if (!file_exists(join_path(directory, candidate.name))) continue;
      found = &candidate;
      break;
    }
  }
  if (found == nullptr && !onnx.empty()) {
    ETTIN_ASSIGN_OR_RETURN(const std::string file, choose_onnx_file(onnx, dtype, directory));
    ETTIN_ASSIGN_OR_RETURN(TensorSource source, open_file(join_path(directory, file)));
    source.where_ = join_path(directory, file);
    return source;
  }
  if (found == nullptr) {
    return Status(StatusCode::not_found,
                  fmt::format("{}: no weights; looked for {}, {}, {}, {} and onnx/model.onnx",
                              directory, kCandidates[0].name, kCandidates[1].name,
                              kCandidates[2].name, kCandidates[3].name),
                  directory_exists(directory) ? "download the weights of the model into this folder"
                                              : "there is no such directory");
  }
  const std::string path = join_path(directory, found->name);
  if (!found->index) {
    ETTIN_ASSIGN_OR_RETURN(TensorSource source, open_file(path));
    source.where_ = directory;
    return source;
  }

  ETTIN_ASSIGN_OR_RETURN(const ShardIndex index, read_shard_index(path));
  TensorSource source;
  source.where_ = directory;
  source.files_.push_back(path);
  for (size_t number = 0; number < index.files.size(); ++number) {
    auto resolved = resolve_beneath(directory, index.files[number]);
    if (!resolved.ok()) return resolved.status().with_context(path);
    ETTIN_ASSIGN_OR_RETURN(WeightFile file, read_weight_file(*resolved, found->format));
    for (StoredTensor& tensor : file.tensors) {
      const auto expected = index.tensor_file.find(tensor.name);
      if (expected == index.tensor_file.end() || expected->second != number) {
        return Status(StatusCode::bad_data,
                      fmt::format("{}: tensor \"{}\" is in {}, but \"weight_map\" {}", path,
                                  tensor.name, index.files[number],
                                  expected == index.tensor_file.end()
                                      ? "does not name it"
                                      : "places it in " + index.files[expected->second]));
      }
      source.by_name_.emplace(tensor.name, source.tensors_.size());
      source.tensors_.push_back(std::move(tensor));
    }
    for (auto& owner : file.owners) source.owners_.push_back(std::move(owner));
    source.files_.push_back(*std::move(resolved));
  }
  for (const auto& [name, number] : index.tensor_file) {
    if (source.by_name_.contains(name)) continue;
    return Status(StatusCode::bad_data,
                  fmt::format("{}: \"weight_map\" places tensor \"{:.200}\" in {}, which has no "
                              "such tensor",
                              path, name, index.files[number]));
  }
  return source;
}

}  // namespace ettin
