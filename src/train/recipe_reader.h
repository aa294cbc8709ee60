// The visitor of train/recipe_schema.h that reads: types and ranges are checked, keys that nothing
// asked for are errors. Keeps the first error.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "ettin/status.h"
#include "train/recipe_schema.h"
#include "train/yaml.h"

namespace ettin {

// "4e9", "1.7T", "250B", "8M", "512k", "4608"; nullopt unless it is a whole number below 2^62.
std::optional<int64_t> parse_count(std::string_view text);

class RecipeReader {
 public:
  // In messages, `path` names the mapping, "phases.pretrain" (empty: the whole recipe), and `where`
  // its place. The mapping outlives the reader.
  RecipeReader(const YamlNode& mapping, std::string path, std::string where);

  void text(std::string_view key, std::string& value);
  void path(std::string_view key, std::string& value);  // made absolute
  void flag(std::string_view key, bool& value);
  void unsigned_integer(std::string_view key, uint64_t& value);
  // A value of 0 that stays 0 is missing where the range starts above.
  void integer(std::string_view key, int64_t& value, IntegerRange range);
  void number(std::string_view key, double& value, Range range);
  void optional_number(std::string_view key, std::optional<double>& value, Range range);
  // A number, or a share of `whole` as "50%"; absent: the whole.
  void number_of(std::string_view key, double& value, double whole, Range range);
  void tokens_of(std::string_view key, int64_t& value, int64_t whole);
  // A path, or a list of paths and of mappings {path, weight}.
  void sources(std::string_view key, std::vector<DataSource>& value);

  template <class E>
  void choice(std::string_view key, E& value, Choices<E> choices) {
    std::vector<std::string_view> names;
    for (const auto& [name, member] : choices) names.push_back(name);
    if (const auto index = choose(key, names)) value = choices[*index].second;
  }

  template <class Fn>
  void section(std::string_view key, Fn&& fn) {
    RecipeReader inner = child(key);
    fn(inner);
    adopt(inner.finish());
  }

  template <class T, class Fn>
  void named(std::string_view key, std::vector<T>& values, Fn&& fn) {
    RecipeReader inner = child(key);
    for (const auto& [name, node] : inner.mapping_->members) {
      if (node.is_null()) continue;
      T value;
      value.name = name;
      inner.section(name, [&](RecipeReader& reader) { fn(reader, value); });
      values.push_back(std::move(value));
    }
    adopt(inner.finish());
  }

  // The first error, or one for a key that nothing asked for.
  Status finish();

 private:
  const YamlNode* take(std::string_view key);  // null: absent
  const YamlNode* scalar(std::string_view key);
  RecipeReader child(std::string_view key);
  std::optional<size_t> choose(std::string_view key, const std::vector<std::string_view>& names);
  void read_number(const YamlNode& node, std::string_view key, double& value, Range range);
  std::optional<double> share(const YamlNode& node) const;  // of "50%"
  void fail(const YamlNode& node, std::string_view key, std::string what, std::string hint);
  void missing(std::string_view key, std::string hint);
  void adopt(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }
  std::string full(std::string_view key) const;

  const YamlNode* mapping_;
  std::string path_, where_;
  std::vector<std::string_view> known_;
  Status status_;
};

}  // namespace ettin
