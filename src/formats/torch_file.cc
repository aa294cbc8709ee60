#include "formats/torch_file.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <string>
#include <unordered_map>
#include <utility>

#include <fmt/format.h>

#include "base/checked.h"
#include "formats/state_dict.h"
#include "formats/zip_archive.h"

namespace ettin {
namespace {

constexpr std::string_view kPickleName = "/data.pkl";

using Copies = std::vector<std::vector<std::byte>>;

class TorchReader {
 public:
  TorchReader(std::span<const std::byte> file, std::string_view where)
      : file_(file), where_(where), copies_(std::make_shared<Copies>()) {}

  Result<TorchFile> read() {
    ETTIN_ASSIGN_OR_RETURN(entries_, read_stored_zip(file_, where_));
    for (const ZipEntry& entry : entries_) by_name_.emplace(entry.name, entry.bytes);
    ETTIN_ASSIGN_OR_RETURN(const auto pickle, find_pickle());
    ETTIN_RETURN_IF_ERROR(check_byte_order());
    ETTIN_ASSIGN_OR_RETURN(PickledModel described, read_pickled_model(pickle, where_));
    TorchFile out;
    out.inside = std::move(described.inside);
    out.config = std::move(described.config);
    out.timestamp = std::move(described.timestamp);
    for (const PickledTensor& tensor : described.tensors) {
      StoredTensor stored;
      stored.name = tensor.name;
      stored.dtype = tensor.dtype;
      stored.shape = tensor.shape;
      ETTIN_ASSIGN_OR_RETURN(stored.bytes, locate(tensor));
      out.tensors.push_back(std::move(stored));
    }
    if (!copies_->empty()) out.owner = copies_;
    return out;
  }

 private:
  Status bad(std::string_view why) const {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where_, why));
  }
  Status bad_tensor(const PickledTensor& tensor, std::string_view why) const {
    return bad(fmt::format("tensor \"{}\": {}", tensor.name, why));
  }

  // FOLDER/data.pkl; every other entry that matters is in the same folder.
  Result<std::span<const std::byte>> find_pickle() {
    std::span<const std::byte> pickle;
    for (const ZipEntry& entry : entries_) {
      if (!entry.name.ends_with(kPickleName)) continue;
      if (!folder_.empty()) return bad("two data.pkl entries");
      folder_ = entry.name.substr(0, entry.name.size() - kPickleName.size());
      pickle = entry.bytes;
    }
    if (folder_.empty()) return bad("no data.pkl entry: not a file that torch.save wrote");
    return pickle;
  }

  Status check_byte_order() const {
    const auto it = by_name_.find(folder_ + "/byteorder");
    if (it == by_name_.end()) return {};  // files before PyTorch 2.1 have none
    const std::string_view order(reinterpret_cast<const char*>(it->second.data()),
                                 std::min<size_t>(it->second.size(), 16));
    if (order == "little") return {};
    if (order != "big") return bad("the byteorder entry says neither little nor big");
    return Status(StatusCode::unsupported, fmt::format("{}: byteorder is big", where_),
                  "save the file again on a little-endian machine");
  }

  Result<std::span<const std::byte>> locate(const PickledTensor& tensor) {
    const auto it = by_name_.find(fmt::format("{}/data/{}", folder_, tensor.storage));
    if (it == by_name_.end()) {
      return bad_tensor(tensor, fmt::format("its storage data/{} is missing", tensor.storage));
    }
    const std::span<const std::byte> storage = it->second;
    const uint64_t width = dtype_bytes(tensor.dtype);
    if (checked_mul(tensor.storage_elements, width) != storage.size()) {
      return bad_tensor(tensor, fmt::format("its storage data/{} has {} bytes, not {} elements of "
                                            "{}",
                                            tensor.storage, storage.size(), tensor.storage_elements,
                                            dtype_name(tensor.dtype)));
    }
    const auto elements = checked_product(tensor.shape);
    if (!elements) {
      return bad_tensor(tensor, fmt::format("shape {} overflows", shape_to_string(tensor.shape)));
    }
    if (*elements == 0) return storage.first(0);
    const auto end = checked_add(tensor.offset, *elements);
    if (!end || *end > tensor.storage_elements) {
      return bad_tensor(tensor, fmt::format("offset {} and shape {} leave its storage of {} "
                                            "elements",
                                            tensor.offset, shape_to_string(tensor.shape),
                                            tensor.storage_elements));
    }
    // All inside the storage, so the products below fit.
    const auto bytes = storage.subspan(tensor.offset * width, *elements * width);
    const std::vector<size_t> order = memory_order(tensor);
    uint64_t expected = 1;
    bool row_major = true;
    for (size_t i = order.size(); i-- > 0;) {
      if (tensor.strides[order[i]] != expected) {
        return Status(
            StatusCode::unsupported,
            fmt::format("{}: tensor \"{}\" of shape {} has strides {}", where_, tensor.name,
                        shape_to_string(tensor.shape), shape_to_string(tensor.strides)),
            "save it with .contiguous()");
      }
      expected *= tensor.shape[order[i]];
      row_major = row_major && (i + 1 == order.size() || order[i] < order[i + 1]);
    }
    if (row_major) return bytes;
    return transposed_copy(tensor, order, bytes);
  }

  // The dimensions that have a stride to speak of, the one that moves slowest first.
  static std::vector<size_t> memory_order(const PickledTensor& tensor) {
    std::vector<size_t> order;
    for (size_t i = 0; i < tensor.shape.size(); ++i) {
      if (tensor.shape[i] != 1) order.push_back(i);
    }
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return tensor.strides[a] > tensor.strides[b]; });
    return order;
  }

  // Row-major elements of a tensor whose dimensions lie in memory in another order. `bytes` holds
  // its elements exactly, so `strides` stay inside it.
  Result<std::span<const std::byte>> transposed_copy(const PickledTensor& tensor,
                                                     const std::vector<size_t>& order,
                                                     std::span<const std::byte> bytes) {
    // Many tensors may share one storage: without this a small file could ask for any amount.
    copied_ += bytes.size();
    if (copied_ > file_.size()) {
      return Status(StatusCode::resource_limit,
                    fmt::format("{}: copying the transposed tensor \"{}\" would take more memory "
                                "than the file has bytes",
                                where_, tensor.name),
                    "save the tensors with .contiguous()");
    }
    std::vector<size_t> rows(order);  // the same dimensions in the order of the shape
    std::sort(rows.begin(), rows.end());
    const size_t width = dtype_bytes(tensor.dtype);
    std::vector<std::byte>& out = copies_->emplace_back(bytes.size());
    std::vector<uint64_t> index(rows.size(), 0);
    uint64_t source = 0;
    for (size_t at = 0; at < out.size(); at += width) {
      std::memcpy(out.data() + at, bytes.data() + source * width, width);
      for (size_t d = rows.size(); d-- > 0;) {
        const uint64_t stride = tensor.strides[rows[d]];
        source += stride;
        if (++index[d] < tensor.shape[rows[d]]) break;
        source -= stride * index[d];
        index[d] = 0;
      }
    }
    return std::span<const std::byte>(out);
  }

  std::span<const std::byte> file_;
  std::string_view where_;
  std::vector<ZipEntry> entries_;
  std::unordered_map<std::string, std::span<const std::byte>> by_name_;
  std::string folder_;
  std::shared_ptr<Copies> copies_;
  uint64_t copied_ = 0;
};

}  // namespace

Result<TorchFile> parse_torch_file(std::span<const std::byte> file, std::string_view where) {
  if (file.size() >= 2 && file[0] == std::byte{0x80} && file[1] >= std::byte{2} &&
      file[1] <= std::byte{5}) {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: a PyTorch file of the kind before version 1.6", where),
                  "load it in PyTorch and save it again, or convert it to safetensors");
  }
  return TorchReader(file, where).read();
}

}  // namespace ettin
