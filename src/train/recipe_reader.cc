#include "train/recipe_reader.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>

#include <fmt/format.h>

#include "base/suggest.h"

namespace ettin {
namespace {

YamlNode empty_mapping() {
  YamlNode node;
  node.kind = YamlNode::Kind::mapping;
  return node;
}
const YamlNode kEmpty = empty_mapping();  // what an absent section reads

std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!std::isfinite(value)) return std::nullopt;
  return value;
}

std::string range_text(Range r) {
  const std::string_view least = r.above_least ? "above" : "at least";
  if (r.most == kNoLimit) return fmt::format("{} {}", least, r.least);
  return fmt::format("{} {} and {} {}", least, r.least, r.below_most ? "below" : "at most", r.most);
}

bool inside(double x, Range r) {
  return (r.above_least ? x > r.least : x >= r.least) && (r.below_most ? x < r.most : x <= r.most);
}

constexpr std::string_view kCountHint =
    "whole numbers are written 4608, 4e9, 1.7T, 250B, 8M or 512k";

}  // namespace

std::optional<int64_t> parse_count(std::string_view text) {
  int scale = 0;
  if (!text.empty()) {
    constexpr std::string_view kSuffixes = "kMBT";
    if (const size_t found = kSuffixes.find(text.back()); found != std::string_view::npos) {
      scale = 3 * (static_cast<int>(found) + 1);
      text.remove_suffix(1);
    }
  }
  if (const size_t e = text.find_first_of("eE"); e != std::string_view::npos) {
    std::string_view digits = text.substr(e + 1);
    if (digits.starts_with('+')) digits.remove_prefix(1);
    int exponent = 0;
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), exponent);
    if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
    if (exponent < -18 || exponent > 18) return std::nullopt;
    scale += exponent;
    text = text.substr(0, e);
  }
  int64_t value = 0;
  bool digits = false, point = false;
  for (const char c : text) {
    if (c == '.' && !point) {
      point = true;
      continue;
    }
    if (c < '0' || c > '9') return std::nullopt;
    digits = true;
    if (__builtin_mul_overflow(value, 10, &value)) return std::nullopt;
    if (__builtin_add_overflow(value, c - '0', &value)) return std::nullopt;
    if (point) --scale;
  }
  if (!digits) return std::nullopt;
  for (; scale < 0; ++scale) {
    if (value % 10 != 0) return std::nullopt;
    value /= 10;
  }
  for (; scale > 0 && value != 0; --scale) {
    if (__builtin_mul_overflow(value, 10, &value)) return std::nullopt;
  }
  if (value >= int64_t{1} << 62) return std::nullopt;
  return value;
}

RecipeReader::RecipeReader(const YamlNode& mapping, std::string path, std::string where)
    : mapping_(&mapping), path_(std::move(path)), where_(std::move(where)) {
  if (!mapping.is_mapping()) {
    adopt(Status(StatusCode::bad_data,
                 fmt::format("{}: {} should be a mapping of keys, not {}", mapping.where(),
                             path_.empty() ? "a recipe" : path_, mapping.kind_name()),
                 "write key: value lines, indented below it"));
    mapping_ = &kEmpty;
  }
}

std::string RecipeReader::full(std::string_view key) const {
  return path_.empty() ? std::string(key) : fmt::format("{}.{}", path_, key);
}

void RecipeReader::fail(const YamlNode& node, std::string_view key, std::string what,
                        std::string hint) {
  adopt(Status(StatusCode::bad_data, fmt::format("{}: {}: {}", node.where(), full(key), what),
               std::move(hint)));
}

void RecipeReader::missing(std::string_view key, std::string hint) {
  adopt(Status(StatusCode::bad_data, fmt::format("{}: {} is missing", where_, full(key)),
               std::move(hint)));
}

const YamlNode* RecipeReader::take(std::string_view key) {
  known_.push_back(key);
  const YamlNode* const node = mapping_->find(key);
  return node == nullptr || node->is_null() ? nullptr : node;
}

const YamlNode* RecipeReader::scalar(std::string_view key) {
  const YamlNode* const node = take(key);
  if (node == nullptr || node->is_scalar()) return node;
  fail(*node, key, fmt::format("{} where a single value belongs", node->kind_name()), {});
  return nullptr;
}

RecipeReader RecipeReader::child(std::string_view key) {
  const YamlNode* const node = take(key);
  return node ? RecipeReader(*node, full(key), node->where())
              : RecipeReader(kEmpty, full(key), where_);
}

Status RecipeReader::finish() {
  if (!status_.ok()) return status_;
  for (const auto& [key, node] : mapping_->members) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    const auto near = closest(key, known_);
    std::string all;
    for (const std::string_view k : known_) all += fmt::format("{}{}", all.empty() ? "" : ", ", k);
    fail(node, key, "no such key",
         near ? fmt::format("did you mean {}?", *near) : fmt::format("known here: {}", all));
    break;
  }
  return status_;
}

void RecipeReader::text(std::string_view key, std::string& value) {
  if (const YamlNode* const node = scalar(key)) value = node->scalar;
}

void RecipeReader::path(std::string_view key, std::string& value) {
  const YamlNode* const node = scalar(key);
  if (node == nullptr) return;
  if (node->scalar.empty()) {
    value.clear();
    return;
  }
  const std::filesystem::path folder = node->source ? node->source->folder : ".";
  std::error_code ignored;  // of the working folder's name: the path then stays relative
  const auto full_path = std::filesystem::absolute(folder / node->scalar, ignored);
  value = full_path.lexically_normal().string();
}

void RecipeReader::flag(std::string_view key, bool& value) {
  const YamlNode* const node = scalar(key);
  if (node == nullptr) return;
  if (!node->quoted && (node->scalar == "true" || node->scalar == "false")) {
    value = node->scalar == "true";
  } else {
    fail(*node, key, fmt::format("\"{}\" is neither true nor false", node->scalar),
         "write true or false");
  }
}

void RecipeReader::unsigned_integer(std::string_view key, uint64_t& value) {
  auto number = static_cast<int64_t>(value);
  integer(key, number, IntegerRange{});
  value = static_cast<uint64_t>(number);
}

void RecipeReader::integer(std::string_view key, int64_t& value, IntegerRange range) {
  const YamlNode* const node = scalar(key);
  if (node == nullptr) {
    if (value < range.least) {
      missing(key, fmt::format("add it, or set it with --set {}=NUMBER", full(key)));
    }
    return;
  }
  const auto number = node->quoted ? std::nullopt : parse_count(node->scalar);
  if (!number) {
    fail(*node, key, fmt::format("\"{}\" is not a whole number", node->scalar),
         std::string(kCountHint));
  } else if (*number < range.least || *number > range.most) {
    fail(*node, key, fmt::format("{} is out of range", *number),
         fmt::format("it should be from {} to {}", range.least, range.most));
  } else {
    value = *number;
  }
}

void RecipeReader::read_number(const YamlNode& node, std::string_view key, double& value,
                               Range range) {
  const auto number = node.quoted ? std::nullopt : parse_number(node.scalar);
  if (!number) {
    fail(node, key, fmt::format("\"{}\" is not a number", node.scalar),
         "numbers are written 0.1 or 3e-4");
  } else if (!inside(*number, range)) {
    fail(node, key, fmt::format("{} is out of range", *number),
         fmt::format("it should be {}", range_text(range)));
  } else {
    value = *number;
  }
}

void RecipeReader::number(std::string_view key, double& value, Range range) {
  if (const YamlNode* const node = scalar(key)) {
    read_number(*node, key, value, range);
  } else if (!inside(value, range)) {
    missing(key, fmt::format("add it, or set it with --set {}=NUMBER", full(key)));
  }
}

void RecipeReader::optional_number(std::string_view key, std::optional<double>& value,
                                   Range range) {
  if (const YamlNode* const node = scalar(key)) read_number(*node, key, value.emplace(), range);
}

std::optional<double> RecipeReader::share(const YamlNode& node) const {
  if (node.quoted || !node.scalar.ends_with('%')) return std::nullopt;
  const auto percent =
      parse_number(std::string_view(node.scalar).substr(0, node.scalar.size() - 1));
  return percent ? std::optional(*percent / 100) : std::nullopt;
}

void RecipeReader::number_of(std::string_view key, double& value, double whole, Range range) {
  const YamlNode* const node = scalar(key);
  if (node == nullptr) {
    value = whole;
  } else if (const auto part = share(*node)) {
    value = *part * whole;
    if (!inside(value, range)) {
      fail(*node, key, fmt::format("{} is out of range", node->scalar),
           fmt::format("it should be {}", range_text(range)));
    }
  } else {
    read_number(*node, key, value, range);
  }
}

void RecipeReader::tokens_of(std::string_view key, int64_t& value, int64_t whole) {
  const YamlNode* const node = mapping_->find(key);
  if (node == nullptr || !node->is_scalar() || !share(*node)) {
    integer(key, value, IntegerRange{});
    return;
  }
  (void)take(key);
  const double part = *share(*node);
  if (part < 0 || part > 1) {
    fail(*node, key, fmt::format("{} is out of range", node->scalar),
         "a share of the phase's tokens is from 0% to 100%");
    return;
  }
  value = std::llround(part * static_cast<double>(whole));
}

void RecipeReader::sources(std::string_view key, std::vector<DataSource>& value) {
  const YamlNode* const node = take(key);
  if (node == nullptr) return;
  value.clear();
  // Each source is read by a reader of its own, so that a plain path is short for {path: ...}.
  const auto read = [&](const YamlNode& source, std::string place) {
    YamlNode mapping = source;
    if (source.is_scalar()) {
      mapping = empty_mapping();
      mapping.source = source.source;
      mapping.line = source.line;
      mapping.members.emplace_back("path", source);
    }
    DataSource s;
    RecipeReader reader(mapping, std::move(place), mapping.where());
    reader.path("path", s.path);
    reader.number("weight", s.weight, Range{0, 1000, true, false});
    if (s.path.empty()) reader.missing("path", "name a folder with index.json");
    adopt(reader.finish());
    value.push_back(std::move(s));
  };
  if (node->is_sequence()) {
    for (size_t i = 0; i < node->items.size(); ++i) {
      read(node->items[i], fmt::format("{}[{}]", full(key), i));
    }
  } else {
    read(*node, full(key));
  }
}

std::optional<size_t> RecipeReader::choose(std::string_view key,
                                           const std::vector<std::string_view>& names) {
  const YamlNode* const node = scalar(key);
  if (node == nullptr) return std::nullopt;
  const auto found = std::find(names.begin(), names.end(), node->scalar);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  std::string all;
  for (const std::string_view n : names) all += fmt::format("{}{}", all.empty() ? "" : ", ", n);
  const auto near = closest(node->scalar, names);
  fail(*node, key, fmt::format("\"{}\" is not known", node->scalar),
       fmt::format("{}known are {}", near ? fmt::format("did you mean {}? ", *near) : "", all));
  return std::nullopt;
}

}  // namespace ettin
