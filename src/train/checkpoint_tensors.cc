#include "train/checkpoint_tensors.h"

#include <algorithm>
#include <cstring>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "formats/safetensors.h"
#include "model/save_floating.h"
#include "model/weights.h"

namespace ettin {
namespace {

std::span<std::byte> bytes_of(const View& view) {
  ETTIN_CHECK(view.dtype == Dtype::f32 && view.stride == view.cols);
  return {view.data, static_cast<size_t>(view.rows * view.cols) * sizeof(float)};
}

// Part `part` of `parts` equal parts of an entry of the list, by rows.
void add_parts(const TensorSpec& spec, const Parameter& slot, std::span<const std::string> names,
               std::string_view suffix, std::vector<NamedView>* views) {
  const auto parts = static_cast<int64_t>(names.size());
  const auto add = [&](std::string name, const View& view, bool vector) {
    std::vector<uint64_t> shape = {static_cast<uint64_t>(view.cols)};
    if (!vector) shape.insert(shape.begin(), static_cast<uint64_t>(view.rows));
    views->push_back({std::move(name), std::move(shape), view});
  };
  for (int64_t part = 0; part < parts; ++part) {
    const std::string& name = names[static_cast<size_t>(part)];
    if (!spec.tied) {
      const int64_t rows = slot.weight.rows / parts;
      add(fmt::format("{}.weight{}", name, suffix), slot.weight.slice_rows(part * rows, rows),
          spec.is_norm);
    }
    if (spec.bias) {
      const int64_t cols = slot.bias.cols / parts;
      View bias = slot.bias.slice_cols(part * cols, cols);
      bias.stride = cols;
      add(fmt::format("{}.bias{}", name, suffix), bias, true);
    }
  }
}

}  // namespace

std::vector<NamedView> named_weights(const ModelConfig& config, const Parameters& values) {
  std::vector<NamedView> views;
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, const Parameter& slot) {
        add_parts(spec, slot, names_in_class(config, spec, config.arm), "", &views);
      },
      values);
  return views;
}

std::vector<NamedView> named_moments(const ModelConfig& config, const Parameters& moment1,
                                     const Parameters& moment2) {
  std::vector<NamedView> views;
  for_each_tensor(
      config,
      [&](const TensorSpec& spec, const Parameter& m, const Parameter& v) {
        add_parts(spec, m, std::span(&spec.name, 1), ".m", &views);
        add_parts(spec, v, std::span(&spec.name, 1), ".v", &views);
      },
      moment1, moment2);
  return views;
}

Status write_views(const std::string& path, std::span<const NamedView> views) {
  std::vector<StoredTensor> tensors;
  for (const NamedView& view : views) {
    tensors.push_back({view.name, Dtype::f32, view.shape, bytes_of(view.view)});
  }
  return write_safetensors(path, tensors, {{"format", "pt"}});
}

Result<std::vector<std::span<const std::byte>>> find_views(const MappedFile& file,
                                                           std::span<const NamedView> views) {
  const auto bad = [&](std::string_view why) {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", file.path(), why),
                  "the checkpoint is of another model: use one of this run");
  };
  ETTIN_ASSIGN_OR_RETURN(const SafetensorsFile parsed,
                         parse_safetensors(file.bytes(), file.path()));
  std::map<std::string_view, const StoredTensor*> by_name;
  for (const StoredTensor& tensor : parsed.tensors) by_name[tensor.name] = &tensor;
  std::vector<std::span<const std::byte>> found;
  for (const NamedView& view : views) {
    const auto at = by_name.find(view.name);
    if (at == by_name.end()) return bad(fmt::format("no tensor {}", view.name));
    const StoredTensor& tensor = *at->second;
    if (tensor.dtype != Dtype::f32 || tensor.shape != view.shape) {
      return bad(fmt::format("{} is {} {}, but should be fp32 {}", view.name,
                             dtype_name(tensor.dtype), shape_to_string(tensor.shape),
                             shape_to_string(view.shape)));
    }
    found.push_back(tensor.bytes);
    by_name.erase(at);
  }
  if (!by_name.empty()) {
    return bad(fmt::format("the model has no tensor {:.80}", by_name.begin()->first));
  }
  return found;
}

void fill_views(std::span<const NamedView> views,
                std::span<const std::span<const std::byte>> bytes) {
  ETTIN_CHECK(views.size() == bytes.size());
  for (size_t i = 0; i < views.size(); ++i) {
    const std::span<std::byte> to = bytes_of(views[i].view);
    ETTIN_CHECK(to.size() == bytes[i].size());
    std::memcpy(to.data(), bytes[i].data(), to.size());
    release_pages(bytes[i]);
  }
}

}  // namespace ettin
