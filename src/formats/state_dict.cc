#include "formats/state_dict.h"

#include <bit>
#include <initializer_list>
#include <unordered_set>
#include <utility>

#include <fmt/format.h>

#include "formats/pickle.h"

namespace ettin {
namespace {

using pickle::Document;
using pickle::Kind;
using pickle::Value;

constexpr size_t kMaxNameBytes = 512;
// Of the plain data that is taken along.
constexpr int kMaxDepth = 12;
constexpr size_t kMaxNodes = 5'000;
constexpr size_t kMaxTextBytes = 200;

bool is_dict(const Value& value) {
  return value.kind == Kind::dict || value.kind == Kind::ordered_dict;
}

// The value of a key, or null; of a key that was set twice, the last.
const Value* member(const Document& document, const Value* dict, std::string_view key) {
  if (dict == nullptr || !is_dict(*dict)) return nullptr;
  for (size_t i = dict->items.size(); i >= 2; i -= 2) {
    const Value& name = document.values[dict->items[i - 2]];
    if (name.kind == Kind::text && name.text == key) return &document.values[dict->items[i - 1]];
  }
  return nullptr;
}

const Value* find(const Document& document, std::initializer_list<std::string_view> path) {
  const Value* value = &document.values[document.root];
  for (const std::string_view key : path) value = member(document, value, key);
  return value;
}

// Plain data as JSON. What is not plain, too deep, too long or too much is left out.
class PlainData {
 public:
  explicit PlainData(const Document& document) : document_(document) {}

  Json of(const Value* value) {
    Json out;
    if (value != nullptr) take(*value, 0, &out);
    return out;
  }

 private:
  bool take(const Value& value, int depth, Json* out) {
    if (depth > kMaxDepth || nodes_ >= kMaxNodes) return false;
    ++nodes_;
    switch (value.kind) {
      case Kind::none:
        return true;  // null
      case Kind::boolean:
        *out = value.integer != 0;
        return true;
      case Kind::integer:
        *out = value.integer;
        return true;
      case Kind::floating:
        *out = std::bit_cast<double>(value.integer);
        return true;
      case Kind::text:
        if (value.text.size() > kMaxTextBytes) return false;
        *out = value.text;
        return true;
      case Kind::list:
      case Kind::tuple:
        *out = Json::array();
        for (const pickle::Ref item : value.items) {
          Json entry;
          if (!take(document_.values[item], depth + 1, &entry)) return false;
          out->push_back(std::move(entry));
        }
        return true;
      case Kind::dict:
      case Kind::ordered_dict:
        *out = Json::object();
        for (size_t i = 0; i < value.items.size() && nodes_ < kMaxNodes; i += 2) {
          const Value& key = document_.values[value.items[i]];
          Json entry;
          if (key.kind == Kind::text && key.text.size() <= kMaxTextBytes &&
              take(document_.values[value.items[i + 1]], depth + 1, &entry)) {
            (*out)[std::string(key.text)] = std::move(entry);
          }
        }
        return true;
      default:
        return false;
    }
  }

  const Document& document_;
  size_t nodes_ = 0;
};

struct ModelDict {
  const Value* dict;
  std::string_view path;
};

ModelDict find_model(const Document& document) {
  const auto at = [&](std::initializer_list<std::string_view> path) -> const Value* {
    const Value* found = find(document, path);
    return found != nullptr && is_dict(*found) ? found : nullptr;
  };
  if (const Value* found = at({"state", "model"})) return {found, "state.model"};
  for (const std::string_view key : {"state_dict", "model_state_dict", "model"}) {
    if (const Value* found = at({key})) return {found, key};
  }
  return {&document.values[document.root], ""};
}

Result<std::vector<PickledTensor>> collect(const Document& document, const ModelDict& model,
                                           std::string_view file) {
  const std::string where =
      model.path.empty() ? std::string(file) : fmt::format("{}: {}", file, model.path);
  const auto bad = [&](std::string_view why) {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where, why),
                  "the file should be a state_dict, or a checkpoint that holds one as state.model "
                  "or state_dict");
  };
  const auto refuse = [&](const Value& value) {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: refused to load {}: a model file may hold tensors only", where,
                              opaque_name(document, value)),
                  "save the state_dict alone, or convert the file to safetensors");
  };
  const Value& dict = *model.dict;
  if (dict.kind == Kind::opaque) return refuse(dict);
  if (!is_dict(dict)) {
    return bad(fmt::format("holds {}, not a dictionary", pickle::kind_name(dict.kind)));
  }
  std::vector<PickledTensor> out;
  std::unordered_set<std::string_view> names;
  for (size_t i = 0; i < dict.items.size(); i += 2) {
    const Value& name = document.values[dict.items[i]];
    const Value& value = document.values[dict.items[i + 1]];
    if (name.kind == Kind::opaque) return refuse(name);
    if (name.kind != Kind::text) {
      return bad(fmt::format("a tensor name is {}", pickle::kind_name(name.kind)));
    }
    if (name.text.empty() || name.text.size() > kMaxNameBytes ||
        name.text.find('\0') != std::string_view::npos) {
      return bad(fmt::format("refused tensor name \"{:.40}\"", name.text));
    }
    if (!names.insert(name.text).second) {
      return bad(fmt::format("tensor \"{}\" occurs twice", name.text));
    }
    if (value.kind == Kind::opaque) return refuse(value);
    if (value.kind != Kind::tensor) {
      return bad(
          fmt::format("\"{}\" is {}, not a tensor", name.text, pickle::kind_name(value.kind)));
    }
    const pickle::Tensor& tensor = document.tensors[static_cast<size_t>(value.integer)];
    const Value& storage = document.values[tensor.storage];
    out.push_back({std::string(name.text), storage.dtype, std::string(storage.text),
                   static_cast<uint64_t>(storage.integer), tensor.offset, tensor.shape,
                   tensor.strides});
  }
  return out;
}

}  // namespace

Result<PickledModel> read_pickled_model(std::span<const std::byte> pickle, std::string_view where) {
  ETTIN_ASSIGN_OR_RETURN(const Document document, read_pickle(pickle, where));
  const ModelDict model = find_model(document);
  PickledModel out;
  ETTIN_ASSIGN_OR_RETURN(out.tensors, collect(document, model, where));
  out.inside = model.path;
  PlainData plain(document);
  // Composer wraps the config as {"content": ..., "class": ...}, and the timestamp by its class.
  const Value* config = find(document, {"state", "integrations", "huggingface", "model", "config"});
  const Value* content = member(document, config, "content");
  out.config = plain.of(content != nullptr ? content : config);
  const Value* timestamp = find(document, {"state", "timestamp"});
  const Value* inner = member(document, timestamp, "Timestamp");
  out.timestamp = plain.of(inner != nullptr ? inner : timestamp);
  return out;
}

}  // namespace ettin
