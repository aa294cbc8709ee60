#include "formats/safetensors.h"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/checked.h"
#include "base/json.h"
#include "base/utf8.h"

namespace ettin {
namespace {

// The reference implementation takes 100 MB. Parsed JSON takes up to 18 times its text (measured),
// and no model here has more than a few hundred tensors.
constexpr uint64_t kMaxHeaderBytes = uint64_t{16} << 20;
constexpr size_t kMaxTensors = 100'000;
constexpr size_t kMaxRank = 8;
constexpr size_t kMaxNameBytes = 512;
constexpr int kMaxDepth = 3;  // file object > tensor object > array of integers
constexpr std::string_view kMetadataKey = "__metadata__";

// Types that the format defines and that no tensor of ours has.
constexpr std::array<std::string_view, 12> kForeignTypes{
    "U16",     "U32",     "U64", "F4",      "F6_E2M3", "F6_E3M2",
    "F8_E5M2", "F8_E4M3", "F8",  "F8_E8M0", "C64",     "F8_E4M3FN"};

struct Extent {
  uint64_t begin;
  uint64_t end;
  size_t index;  // of the tensor
};

class HeaderReader {
 public:
  HeaderReader(std::span<const std::byte> data, std::string_view where)
      : data_(data), where_(where) {}

  Result<SafetensorsFile> read(const Json& header) {
    if (!header.is_object()) return bad("the header is not a JSON object");
    if (header.size() > kMaxTensors + 1) {
      return bad(fmt::format("{} tensors; at most {} are read", header.size(), kMaxTensors));
    }
    for (const auto& [name, entry] : header.items()) {
      if (name == kMetadataKey) {
        ETTIN_RETURN_IF_ERROR(read_metadata(entry));
      } else {
        ETTIN_RETURN_IF_ERROR(read_tensor(name, entry));
      }
    }
    ETTIN_RETURN_IF_ERROR(check_coverage());
    return std::move(file_);
  }

 private:
  Status bad(std::string_view why) const {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where_, why));
  }
  Status bad_tensor(std::string_view name, std::string_view why) const {
    return bad(fmt::format("tensor \"{}\": {}", name, why));
  }

  Status read_metadata(const Json& entry) {
    if (!entry.is_object()) return bad("\"__metadata__\" is not an object");
    for (const auto& [key, value] : entry.items()) {
      if (!value.is_string()) {
        return bad(fmt::format("\"__metadata__\": key \"{:.80}\" should be a string, but is {}",
                               key, value.type_name()));
      }
      file_.metadata.emplace(key, value.get<std::string>());
    }
    return {};
  }

  Status check_name(std::string_view name) const {
    if (name.empty()) return bad("a tensor name is empty");
    if (name.size() > kMaxNameBytes) {
      return bad(fmt::format("tensor name of {} bytes \"{:.40}...\"; at most {} are read",
                             name.size(), name, kMaxNameBytes));
    }
    for (const char c : name) {
      if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
        return bad("a tensor name holds a control character");
      }
    }
    return {};
  }

  // Non-negative integers of the array `key` of `entry`, at most `limit` of them.
  Result<std::vector<uint64_t>> read_integers(std::string_view name, const Json& entry,
                                              std::string_view key, size_t limit) const {
    const Json* array = json_member(entry, key);
    if (array == nullptr) return bad_tensor(name, fmt::format("key \"{}\" is missing", key));
    if (!array->is_array()) {
      return bad_tensor(
          name, fmt::format("key \"{}\" should be an array, but is {}", key, array->type_name()));
    }
    if (array->size() > limit) {
      return bad_tensor(name, fmt::format("key \"{}\" has {} entries; at most {} are read", key,
                                          array->size(), limit));
    }
    std::vector<uint64_t> out;
    for (const Json& value : *array) {
      if (!value.is_number_unsigned()) {
        return bad_tensor(name, fmt::format("key \"{}\" holds {:.40}, which is not a non-negative "
                                            "integer",
                                            key, dump_json(value)));
      }
      out.push_back(value.get<uint64_t>());
    }
    return out;
  }

  Result<Dtype> read_dtype(std::string_view name, const Json& entry) const {
    const Json* value = json_member(entry, "dtype");
    if (value == nullptr) return bad_tensor(name, "key \"dtype\" is missing");
    if (!value->is_string()) {
      return bad_tensor(
          name, fmt::format("key \"dtype\" should be a string, but is {}", value->type_name()));
    }
    const std::string& text = value->get_ref<const std::string&>();
    if (const auto dtype = dtype_from_safetensors(text)) return *dtype;
    if (std::find(kForeignTypes.begin(), kForeignTypes.end(), text) != kForeignTypes.end()) {
      return Status(StatusCode::unsupported,
                    fmt::format("{}: tensor \"{}\" has dtype {}", where_, name, text),
                    "convert the model to F32, F16 or BF16");
    }
    return bad_tensor(name, fmt::format("unknown dtype \"{:.40}\"", text));
  }

  Status read_tensor(const std::string& name, const Json& entry) {
    ETTIN_RETURN_IF_ERROR(check_name(name));
    if (!entry.is_object()) {
      return bad_tensor(name, fmt::format("should be an object, but is {}", entry.type_name()));
    }
    for (const auto& [key, value] : entry.items()) {
      if (key != "dtype" && key != "shape" && key != "data_offsets") {
        return bad_tensor(name, fmt::format("unknown key \"{:.80}\"", key));
      }
    }
    StoredTensor tensor;
    tensor.name = name;
    ETTIN_ASSIGN_OR_RETURN(tensor.dtype, read_dtype(name, entry));
    ETTIN_ASSIGN_OR_RETURN(tensor.shape, read_integers(name, entry, "shape", kMaxRank));
    ETTIN_ASSIGN_OR_RETURN(const auto offsets, read_integers(name, entry, "data_offsets", 2));
    if (offsets.size() != 2) return bad_tensor(name, "\"data_offsets\" is not a pair");

    const auto elements = checked_product(tensor.shape);
    const auto bytes = elements ? checked_mul(*elements, dtype_bytes(tensor.dtype)) : std::nullopt;
    if (!bytes) {
      return bad_tensor(name, fmt::format("shape {} overflows", shape_to_string(tensor.shape)));
    }
    const uint64_t begin = offsets[0];
    const uint64_t end = offsets[1];
    if (begin > end || end > data_.size()) {
      return bad_tensor(name, fmt::format("data_offsets [{}, {}] leave the {} bytes of data", begin,
                                          end, data_.size()));
    }
    if (end - begin != *bytes) {
      return bad_tensor(name, fmt::format("data_offsets [{}, {}] hold {} bytes, but shape {} of {} "
                                          "needs {}",
                                          begin, end, end - begin, shape_to_string(tensor.shape),
                                          dtype_info(tensor.dtype).safetensors_name, *bytes));
    }
    tensor.bytes = data_.subspan(begin, end - begin);
    extents_.push_back({begin, end, file_.tensors.size()});
    file_.tensors.push_back(std::move(tensor));
    return {};
  }

  // Every byte of data belongs to exactly one tensor.
  Status check_coverage() {
    std::sort(extents_.begin(), extents_.end(), [](const Extent& a, const Extent& b) {
      return std::pair(a.begin, a.end) < std::pair(b.begin, b.end);
    });
    uint64_t covered = 0;
    for (const Extent& extent : extents_) {
      if (extent.begin != covered) {
        return bad_tensor(file_.tensors[extent.index].name,
                          fmt::format("data_offsets [{}, {}] leave {} at byte {}", extent.begin,
                                      extent.end, extent.begin < covered ? "an overlap" : "a hole",
                                      std::min(extent.begin, covered)));
      }
      covered = extent.end;
    }
    if (covered != data_.size()) {
      return bad(fmt::format("{} bytes of data, but the tensors cover {}", data_.size(), covered));
    }
    return {};
  }

  std::span<const std::byte> data_;
  std::string_view where_;
  SafetensorsFile file_;
  std::vector<Extent> extents_;
};

uint64_t read_le64(const std::byte* p) {
  uint64_t value = 0;
  for (int i = 7; i >= 0; --i) value = (value << 8) | static_cast<uint64_t>(p[i]);
  return value;
}

}  // namespace

Result<SafetensorsFile> parse_safetensors(std::span<const std::byte> file, std::string_view where) {
  const auto bad = [&](std::string_view why) {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where, why),
                  "the file is damaged or not a safetensors file: download it again");
  };
  if (file.size() < 8) return bad(fmt::format("{} bytes are too few for a header", file.size()));
  const uint64_t header_bytes = read_le64(file.data());
  if (header_bytes > kMaxHeaderBytes) {
    return bad(fmt::format("header of {} bytes; the limit is {}", header_bytes, kMaxHeaderBytes));
  }
  if (header_bytes > file.size() - 8) {
    return bad(fmt::format("header of {} bytes in a file of {} bytes", header_bytes, file.size()));
  }
  const std::string_view header(reinterpret_cast<const char*>(file.data()) + 8, header_bytes);
  if (!header.starts_with('{')) return bad("the header does not start with '{'");
  const size_t last = header.find_last_not_of(' ');
  if (header[last] != '}') return bad("the header does not end with '}' and spaces");
  JsonLimits limits;
  limits.max_bytes = kMaxHeaderBytes;
  limits.max_depth = kMaxDepth;
  ETTIN_ASSIGN_OR_RETURN(const Json json, parse_json(header.substr(0, last + 1), where, limits));
  return HeaderReader(file.subspan(8 + header_bytes), where).read(json);
}

Result<SafetensorsWriter> SafetensorsWriter::create(
    const std::string& path, std::span<const StoredTensor> tensors,
    const std::map<std::string, std::string>& metadata) {
  const auto refuse = [&](std::string_view name, std::string_view why) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: cannot write tensor \"{}\": {}", path, name, why));
  };
  std::vector<const StoredTensor*> order;
  std::unordered_set<std::string_view> names;
  for (const StoredTensor& tensor : tensors) {
    const auto elements = checked_product(tensor.shape);
    if (!elements || !checked_mul(*elements, dtype_bytes(tensor.dtype))) {
      return refuse(tensor.name, fmt::format("shape {} overflows", shape_to_string(tensor.shape)));
    }
    if (tensor.name.empty() || tensor.name.size() > kMaxNameBytes || tensor.name == kMetadataKey ||
        !is_valid_utf8(tensor.name) || tensor.shape.size() > kMaxRank) {
      return refuse(tensor.name, "the reader would refuse its name or rank");
    }
    if (!names.insert(tensor.name).second) return refuse(tensor.name, "the name occurs twice");
    order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(), [](const StoredTensor* a, const StoredTensor* b) {
    const uint32_t a_bytes = dtype_bytes(a->dtype);
    const uint32_t b_bytes = dtype_bytes(b->dtype);
    return a_bytes != b_bytes ? a_bytes > b_bytes : a->name < b->name;
  });

  ETTIN_ASSIGN_OR_RETURN(OutputFile file, OutputFile::create(path));
  SafetensorsWriter writer(std::move(file));
  Json header = Json::object();
  if (!metadata.empty()) header[std::string(kMetadataKey)] = metadata;
  // Appended, not inserted: ordered_map looks for the key first, which is quadratic.
  auto& members =
      static_cast<std::vector<Json::object_t::value_type>&>(header.get_ref<Json::object_t&>());
  uint64_t offset = 0;
  for (const StoredTensor* tensor : order) {
    const uint64_t bytes = tensor->element_count() * dtype_bytes(tensor->dtype);
    Json entry = Json::object();
    entry["dtype"] = dtype_info(tensor->dtype).safetensors_name;
    entry["shape"] = tensor->shape;
    entry["data_offsets"] = {offset, offset + bytes};
    writer.places_[tensor->name] = {offset, bytes};
    offset += bytes;
    members.emplace_back(tensor->name, std::move(entry));
  }
  std::string text = dump_json(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMaxHeaderBytes) return refuse("", "the header is too large");
  for (auto& [name, place] : writer.places_) place.begin += 8 + text.size();

  std::string contents;
  for (int i = 0; i < 8; ++i) {
    contents.push_back(static_cast<char>((text.size() >> (8 * i)) & 0xff));
  }
  contents += text;
  ETTIN_RETURN_IF_ERROR(writer.file_.write_at(0, std::as_bytes(std::span(contents))));
  return writer;
}

Status SafetensorsWriter::write(std::string_view name, uint64_t offset,
                                std::span<const std::byte> bytes) {
  const auto place = places_.find(name);
  ETTIN_CHECK(place != places_.end() && offset <= place->second.bytes &&
              bytes.size() <= place->second.bytes - offset);
  return file_.write_at(place->second.begin + offset, bytes);
}

Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         const std::map<std::string, std::string>& metadata) {
  for (const StoredTensor& tensor : tensors) {
    const auto elements = checked_product(tensor.shape);
    if (elements && checked_mul(*elements, dtype_bytes(tensor.dtype)) == tensor.bytes.size()) {
      continue;
    }
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: cannot write tensor \"{}\": {} bytes for shape {}", path,
                              tensor.name, tensor.bytes.size(), shape_to_string(tensor.shape)));
  }
  ETTIN_ASSIGN_OR_RETURN(SafetensorsWriter writer,
                         SafetensorsWriter::create(path, tensors, metadata));
  for (const StoredTensor& tensor : tensors) {
    ETTIN_RETURN_IF_ERROR(writer.write(tensor.name, 0, tensor.bytes));
  }
  return writer.commit();
}

}  // namespace ettin
