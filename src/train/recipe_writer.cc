// The visitor of train/recipe_schema.h that writes canonical YAML.
#include <fmt/format.h>

#include "base/hash.h"
#include "train/recipe.h"
#include "train/recipe_check.h"
#include "train/yaml.h"

namespace ettin {
namespace {

class RecipeWriter {
 public:
  RecipeWriter(std::string* out, int indent) : out_(out), indent_(indent) {}

  void text(std::string_view key, const std::string& value) { line(key, quote_yaml(value)); }
  void path(std::string_view key, const std::string& value) {
    if (!value.empty()) text(key, value);
  }
  void flag(std::string_view key, bool value) { line(key, value ? "true" : "false"); }
  void unsigned_integer(std::string_view key, uint64_t value) { line(key, fmt::to_string(value)); }
  void integer(std::string_view key, int64_t value, IntegerRange) {
    line(key, fmt::to_string(value));
  }
  // The shortest digits that read back to the same double.
  void number(std::string_view key, double value, Range) { line(key, fmt::to_string(value)); }
  void optional_number(std::string_view key, const std::optional<double>& value, Range range) {
    if (value) number(key, *value, range);
  }
  void number_of(std::string_view key, double value, double, Range range) {
    number(key, value, range);
  }
  void tokens_of(std::string_view key, int64_t value, int64_t) { integer(key, value, {}); }
  void sources(std::string_view key, const std::vector<DataSource>& value) {
    if (value.empty()) return;
    line(key, "");
    for (const DataSource& s : value) {
      *out_ += fmt::format("{:{}}- {{path: {}, weight: {}}}\n", "", indent_ + 2, quote_yaml(s.path),
                           s.weight);
    }
  }
  template <class E>
  void choice(std::string_view key, E value, Choices<E> choices) {
    for (const auto& [name, member] : choices) {
      if (member == value) line(key, name);
    }
  }
  // A section in which nothing is said is left out.
  template <class Fn>
  void section(std::string_view key, Fn&& fn) {
    std::string body;
    RecipeWriter inner(&body, indent_ + 2);
    fn(inner);
    if (body.empty()) return;
    line(key, "");
    *out_ += body;
  }
  template <class T, class Fn>
  void named(std::string_view key, const std::vector<T>& values, Fn&& fn) {
    section(key, [&](RecipeWriter& list) {
      for (const T& value : values) {
        list.section(value.name, [&](RecipeWriter& inner) { fn(inner, value); });
      }
    });
  }

 private:
  void line(std::string_view key, std::string_view value) {
    *out_ += fmt::format("{:{}}{}:{}{}\n", "", indent_, key, value.empty() ? "" : " ", value);
  }

  std::string* out_;
  int indent_;
};

}  // namespace

std::string Recipe::to_yaml() const {
  std::string out;
  RecipeWriter writer(&out, 0);
  const ModelLayout layout = layout_of(model);
  visit_recipe(writer, *this, layout);
  return out;
}

std::string Recipe::identity() const {
  Recipe bare = *this;
  bare.name.clear();
  bare.tokenizer.clear();
  const auto hide = [](std::string* folder) {
    if (!folder->empty()) *folder = "given";
  };
  hide(&bare.init_from);
  hide(&bare.encoder.init_from);
  hide(&bare.decoder.init_from);
  for (PhaseRecipe& p : bare.phases) {
    for (DataSource& s : p.data) hide(&s.path);
    p.checkpoint_tokens = 0;
  }
  bare.validation = ValidationRecipe();
  bare.keep_checkpoints = 0;
  const std::string yaml = bare.to_yaml();
  return sha256_hex(std::as_bytes(std::span(yaml)));
}

}  // namespace ettin
