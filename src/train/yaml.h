// YAML as a tree of mappings, sequences and scalars that know where they stand (library: yaml-cpp).
//
// Refused: anchors, aliases and tags, duplicate keys, keys that are not scalars, several documents,
// more nesting or bytes than the limits allow. Nothing here throws.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct YamlSource {
  std::string name;    // in messages: a path, "--set"
  std::string folder;  // what paths in it are relative to
};

struct YamlNode {
  enum class Kind : unsigned char { null, scalar, sequence, mapping };
  Kind kind = Kind::null;
  std::string scalar;
  bool quoted = false;                                    // so a number is text
  std::vector<YamlNode> items;                            // of a sequence
  std::vector<std::pair<std::string, YamlNode>> members;  // of a mapping, in order
  std::shared_ptr<const YamlSource> source;
  int line = 0;  // from 1; 0: none

  bool is_null() const { return kind == Kind::null; }
  bool is_scalar() const { return kind == Kind::scalar; }
  bool is_sequence() const { return kind == Kind::sequence; }
  bool is_mapping() const { return kind == Kind::mapping; }
  std::string where() const;                         // "recipe.yaml:12"
  std::string_view kind_name() const;                // "a mapping"
  const YamlNode* find(std::string_view key) const;  // of a mapping; null: no such key
  YamlNode* find(std::string_view key);
};

constexpr size_t kMostYamlBytes = size_t{1} << 20;
constexpr size_t kMostYamlDepth = 16;
constexpr size_t kMostYamlKeys = 1024;  // of a mapping

// An empty document is a null.
Result<YamlNode> parse_yaml(std::string_view text, std::shared_ptr<const YamlSource> source);
// Paths in the file are relative to its folder.
Result<YamlNode> read_yaml(const std::string& path);

// `over` put on `base`: mappings are merged key by key, keys of `base` first and in their order; a
// null takes its key away; anything else replaces.
void overlay_yaml(YamlNode over, YamlNode* base);

// A double-quoted scalar that reads back as `text`.
std::string quote_yaml(std::string_view text);

}  // namespace ettin
