#include "formats/composer_checkpoint.h"

#include <algorithm>
#include <array>
#include <memory>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "formats/torch_file.h"

namespace ettin {
namespace {

constexpr std::string_view kWrapper = "model.";

struct Renamed {
  std::string_view from, to;
};
constexpr std::array<Renamed, 3> kBackbone{{
    {"bert.embeddings.", "model.embeddings."},
    {"bert.encoder.layers.", "model.layers."},
    {"bert.final_norm.", "model.final_norm."},
}};

std::string new_name(std::string_view name, bool wrapped) {
  if (wrapped && name.starts_with(kWrapper)) name.remove_prefix(kWrapper.size());
  for (const Renamed& part : kBackbone) {
    if (name.starts_with(part.from)) {
      return fmt::format("{}{}", part.to, name.substr(part.from.size()));
    }
  }
  return std::string(name);
}

std::optional<int64_t> count(const Json& timestamp, std::string_view key) {
  const Json* value = json_member(timestamp, key);
  if (value == nullptr || !value->is_number_integer() || value->get<int64_t>() < 0) return {};
  return value->get<int64_t>();
}

// What the tensors of a file point into.
struct Owner {
  MappedFile file;
  std::shared_ptr<const void> copies;
};

}  // namespace

bool is_checkpoint_name(std::string_view path) {
  return path.ends_with(".pt") || path.ends_with(".pth");
}

Status rename_training_tensors(std::vector<StoredTensor>* tensors, std::string_view where) {
  const auto any = [&](std::string_view prefix) {
    return std::any_of(tensors->begin(), tensors->end(),
                       [&](const StoredTensor& t) { return t.name.starts_with(prefix); });
  };
  // A wrapper around Hugging Face's own classes makes "model.model.layers."; without a head
  // "model.layers." is their name already.
  const bool wrapped = any("model.bert.") || any("model.model.");
  if (!wrapped && !any("bert.")) return {};
  std::unordered_set<std::string> names;
  for (StoredTensor& tensor : *tensors) {
    std::string name = new_name(tensor.name, wrapped);
    if (!names.insert(name).second) {
      return Status(StatusCode::bad_data,
                    fmt::format("{}: tensor \"{}\" and another would both be \"{}\"", where,
                                tensor.name, name),
                    "the file mixes the state_dicts of two models: save the one that is wanted");
    }
    tensor.name = std::move(name);
  }
  return {};
}

Result<Checkpoint> open_checkpoint(const std::string& path) {
  const auto owner = std::make_shared<Owner>();
  ETTIN_ASSIGN_OR_RETURN(owner->file, MappedFile::open(path));
  const std::span<const std::byte> whole = owner->file.bytes();
  ETTIN_ASSIGN_OR_RETURN(TorchFile torch, parse_torch_file(whole, path));
  ETTIN_RETURN_IF_ERROR(rename_training_tensors(&torch.tensors, path));
  for (StoredTensor& tensor : torch.tensors) {
    tensor.mapped = tensor.bytes.data() >= whole.data() &&
                    tensor.bytes.data() + tensor.bytes.size() <= whole.data() + whole.size();
  }
  owner->copies = std::move(torch.owner);
  Checkpoint out;
  out.source = TensorSource::from_tensors(std::move(torch.tensors), owner, path, {path});
  out.config = std::move(torch.config);
  out.batch = count(torch.timestamp, "batch");
  out.tokens = count(torch.timestamp, "token");
  return out;
}

}  // namespace ettin
