// Makes the files of torch.save by hand: pickles instruction by instruction, zip archives field by
// field, so that tests can make each of them wrong in one place.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "formats/test_support.h"

namespace ettin::test {

class Pickle {
 public:
  Pickle& raw(std::string_view bytes) {
    out_ += bytes;
    return *this;
  }
  Pickle& byte(int value) {
    out_.push_back(static_cast<char>(value));
    return *this;
  }
  Pickle& proto() { return byte(0x80).byte(2); }
  Pickle& global(std::string_view module, std::string_view name) {
    return raw("c").raw(module).raw("\n").raw(name).raw("\n");
  }
  Pickle& text(std::string_view value) {
    return raw("X").raw(little_endian(value.size(), 4)).raw(value);
  }
  Pickle& integer(int64_t value) {
    return byte(0x8a).byte(8).raw(little_endian(static_cast<uint64_t>(value), 8));
  }
  Pickle& integers(const std::vector<int64_t>& values) {
    raw("(");
    for (const int64_t v : values) integer(v);
    return raw("t");
  }
  Pickle& ordered_dict() { return global("collections", "OrderedDict").raw(")R"); }
  Pickle& storage(std::string_view type, std::string_view key, int64_t elements) {
    return raw("(")
        .text("storage")
        .global("torch", type)
        .text(key)
        .text("cpu")
        .integer(elements)
        .raw("tQ");
  }
  const std::string& str() const { return out_; }

 private:
  std::string out_;
};

struct SavedTensor {
  std::string name = "a";
  std::string type = "FloatStorage";
  std::string key = "0";
  int64_t elements = 6;
  int64_t offset = 0;
  std::vector<int64_t> shape = {2, 3};
  std::vector<int64_t> strides = {3, 1};
};

inline void add_tensor(Pickle* out, const SavedTensor& spec) {
  out->global("torch._utils", "_rebuild_tensor_v2").raw("(");
  out->storage(spec.type, spec.key, spec.elements).integer(spec.offset);
  out->integers(spec.shape).integers(spec.strides).byte(0x89).ordered_dict().raw("tR");
}

// The pickle of a state_dict.
inline std::string state_dict(const std::vector<SavedTensor>& tensors) {
  Pickle out;
  out.proto().ordered_dict().raw("(");
  for (const SavedTensor& spec : tensors) {
    out.text(spec.name);
    add_tensor(&out, spec);
  }
  return out.raw("u.").str();
}

// What Composer saves: the state_dict in state.model, then `inside` (a key and a value), and around
// it optimizers, objects of classes that nobody here knows, sets, bytes and large integers.
// `config`: a value for state.integrations.huggingface.model.config.
inline std::string composer_pickle(const std::vector<SavedTensor>& tensors, std::string_view inside,
                                   std::string_view config = "}") {
  Pickle out;
  out.proto().raw("}(").text("state").raw("}(");
  out.text("callbacks").global("composer.callbacks", "SpeedMonitor").raw(")\x81}").text("start");
  out.global("datetime", "datetime")
      .raw(
          "C\x04"
          "abcd\x85Rsb");
  out.text("model").ordered_dict().raw("(");
  for (const SavedTensor& spec : tensors) {
    out.text(spec.name);
    add_tensor(&out, spec);
  }
  out.raw(inside).raw("u}").text("_metadata").ordered_dict().raw("sb");
  out.text("optimizers").raw("}").text("exp_avg");
  add_tensor(&out, SavedTensor{"", "FloatStorage", "not-there", 6, 0, {2, 3}, {3, 1}});
  out.raw("s")
      .text("seed")
      .raw(
          "\x8a\x09"
          "123456789")
      .text("seen")
      .raw("\x8f(K\x01\x90");
  out.text("timestamp").raw("}").text("Timestamp").raw("}(").text("epoch").integer(0);
  out.text("batch").integer(5996).text("token").integer(17'000'000'000).raw("us");
  out.text("integrations").raw("}").text("huggingface").raw("}").text("model").raw("}");
  out.text("config").raw(config).raw("sss");
  out.raw("u").text("rng").raw("]").global("numpy.random", "RandomState").raw(")Rau.");
  return out.str();
}

struct ZipItem {
  std::string name;
  std::string data;
  uint64_t flags = 0, method = 0, disk = 0;
  std::optional<std::string> local_name;
  std::optional<uint64_t> size, packed;              // central header
  std::optional<uint64_t> local_size, local_packed;  // local header
  std::optional<uint64_t> offset;
  std::string extra, local_extra;
  uint64_t local_signature = 0x04034b50, signature = 0x02014b50;
};

struct ZipTail {
  bool zip64 = true;  // PyTorch always writes both end records
  std::optional<uint64_t> entries, bytes, offset, disk_entries, record_bytes, locator;
  uint64_t disk = 0;
  std::optional<uint64_t> narrow_entries, narrow_bytes, narrow_offset;  // of the old end record
  std::string comment, between;  // `between` the directory and the end records
};

inline std::string make_zip(const std::vector<ZipItem>& items, const ZipTail& tail = {}) {
  const auto le = [](uint64_t value, size_t width) { return little_endian(value, width); };
  std::string out, directory;
  for (const ZipItem& item : items) {
    const uint64_t at = out.size();
    const uint64_t n = item.data.size();
    const std::string local_name = item.local_name.value_or(item.name);
    out += le(item.local_signature, 4) + le(0, 2) + le(item.flags, 2) + le(item.method, 2) +
           le(0, 8) + le(item.local_packed.value_or(n), 4) + le(item.local_size.value_or(n), 4) +
           le(local_name.size(), 2) + le(item.local_extra.size(), 2) + local_name +
           item.local_extra + item.data;
    directory += le(item.signature, 4) + le(0, 4) + le(item.flags, 2) + le(item.method, 2) +
                 le(0, 8) + le(item.packed.value_or(n), 4) + le(item.size.value_or(n), 4) +
                 le(item.name.size(), 2) + le(item.extra.size(), 2) + le(0, 2) + le(item.disk, 2) +
                 le(0, 6) + le(item.offset.value_or(at), 4) + item.name + item.extra;
  }
  const uint64_t offset = tail.offset.value_or(out.size());
  const uint64_t bytes = tail.bytes.value_or(directory.size());
  const uint64_t entries = tail.entries.value_or(items.size());
  out += directory + tail.between;
  if (tail.zip64) {
    const uint64_t record = out.size();
    out += le(0x06064b50, 4) + le(tail.record_bytes.value_or(44), 8) + le(0, 4) + le(tail.disk, 4) +
           le(0, 4) + le(tail.disk_entries.value_or(entries), 8) + le(entries, 8) + le(bytes, 8) +
           le(offset, 8);
    out += le(0x07064b50, 4) + le(0, 4) + le(tail.locator.value_or(record), 8) + le(1, 4);
  }
  const uint64_t narrow_entries = tail.narrow_entries.value_or(entries);
  out += le(0x06054b50, 4) + le(tail.disk, 2) + le(0, 2) +
         le(tail.zip64 ? narrow_entries : tail.disk_entries.value_or(narrow_entries), 2) +
         le(narrow_entries, 2) + le(tail.narrow_bytes.value_or(bytes), 4) +
         le(tail.narrow_offset.value_or(offset), 4) + le(tail.comment.size(), 2) + tail.comment;
  return out;
}

// The entries of a torch file that holds `pickle` and the storages "0", "1", ...
inline std::vector<ZipItem> torch_items(const std::string& pickle,
                                        const std::vector<std::string>& storages) {
  std::vector<ZipItem> items(2);
  items[0].name = "archive/data.pkl";
  items[0].data = pickle;
  items[1].name = "archive/byteorder";
  items[1].data = "little";
  for (size_t i = 0; i < storages.size(); ++i) {
    ZipItem item;
    item.name = "archive/data/" + std::to_string(i);
    item.data = storages[i];
    items.push_back(item);
  }
  return items;
}

inline std::string floats(std::initializer_list<float> values) {
  return {reinterpret_cast<const char*>(values.begin()), values.size() * sizeof(float)};
}

inline std::string good_torch_file() {
  return make_zip(torch_items(state_dict({SavedTensor{}}), {floats({0, 1, 2, 3, 4, 5})}));
}

}  // namespace ettin::test
