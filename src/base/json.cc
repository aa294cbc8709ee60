#include "base/json.h"

#include <unordered_set>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"

namespace ettin {
namespace {

// Builds the document from nlohmann's SAX events and stops at the first broken rule.
class StrictBuilder {
 public:
  using number_integer_t = Json::number_integer_t;
  using number_unsigned_t = Json::number_unsigned_t;
  using number_float_t = Json::number_float_t;
  using string_t = Json::string_t;
  using binary_t = Json::binary_t;

  explicit StrictBuilder(const JsonLimits& limits) : limits_(limits) {}

  bool null() { return put(Json(nullptr)); }
  bool boolean(bool v) { return put(Json(v)); }
  bool number_integer(number_integer_t v) { return put(Json(v)); }
  bool number_unsigned(number_unsigned_t v) { return put(Json(v)); }
  bool number_float(number_float_t v, const string_t& token) {
    if (!limits_.big_integers && token.find_first_of(".eE") == string_t::npos) {
      return fail(fmt::format("integer {:.40} does not fit into 64 bits", token));
    }
    return put(Json(v));
  }
  bool string(string_t& v) { return put(Json(std::move(v))); }
  bool binary(binary_t&) { return fail("binary value"); }

  bool start_object(size_t) { return open(Json::object()); }
  bool start_array(size_t) { return open(Json::array()); }
  bool end_object() {
    keys_.pop_back();
    stack_.pop_back();
    return true;
  }
  bool end_array() { return end_object(); }

  bool key(string_t& k) {
    if (!keys_.back().insert(k).second) return fail(fmt::format("duplicate key \"{:.80}\"", k));
    pending_key_ = std::move(k);
    return true;
  }

  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception& e) {
    // nlohmann's text: "[json.exception.parse_error.101] parse error at line 1, column 2: reason"
    std::string reason = e.what();
    if (const size_t at = reason.find("column"); at != std::string::npos) {
      if (const size_t colon = reason.find(": ", at); colon != std::string::npos) {
        reason.erase(0, colon + 2);
      }
    }
    return fail(fmt::format("not valid JSON at byte {}: {:.200}", position, reason));
  }

  Json& document() { return document_; }
  const std::string& error() const { return error_; }

 private:
  using ObjectVector = std::vector<Json::object_t::value_type>;

  bool fail(std::string why) {
    if (error_.empty()) error_ = std::move(why);
    return false;
  }

  Json* place(Json value) {
    if (stack_.empty()) {
      document_ = std::move(value);
      return &document_;
    }
    Json& parent = *stack_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    // ordered_map::emplace searches linearly; duplicates were refused in key(), so append.
    ObjectVector& members = parent.get_ref<Json::object_t&>();
    members.emplace_back(std::move(pending_key_), std::move(value));
    return &members.back().second;
  }

  bool put(Json value) {
    place(std::move(value));
    return true;
  }

  bool open(Json container) {
    if (static_cast<int>(stack_.size()) >= limits_.max_depth) {
      return fail(fmt::format("nested deeper than {} levels", limits_.max_depth));
    }
    stack_.push_back(place(std::move(container)));
    keys_.emplace_back();
    return true;
  }

  const JsonLimits limits_;
  Json document_;
  std::vector<Json*> stack_;
  std::vector<std::unordered_set<std::string>> keys_;
  std::string pending_key_;
  std::string error_;
};

Status wrong_type(std::string_view where, std::string_view key, std::string_view expected,
                  const Json& found) {
  return Status(StatusCode::bad_data, fmt::format("{}: key \"{}\" should be {}, but is {}", where,
                                                  key, expected, found.type_name()));
}

template <class T>
std::optional<T> convert(const Json& v);
template <>
std::optional<bool> convert<bool>(const Json& v) {
  if (!v.is_boolean()) return std::nullopt;
  return v.get<bool>();
}
template <>
std::optional<int64_t> convert<int64_t>(const Json& v) {
  if (!v.is_number_integer()) return std::nullopt;
  if (v.is_number_unsigned() && v.get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    return std::nullopt;
  }
  return v.get<int64_t>();
}
template <>
std::optional<double> convert<double>(const Json& v) {
  if (!v.is_number()) return std::nullopt;
  return v.get<double>();
}
template <>
std::optional<std::string> convert<std::string>(const Json& v) {
  if (!v.is_string()) return std::nullopt;
  return v.get<std::string>();
}

template <class T>
constexpr std::string_view expected_name() {
  if constexpr (std::is_same_v<T, bool>) return "true or false";
  if constexpr (std::is_same_v<T, int64_t>) return "an integer";
  if constexpr (std::is_same_v<T, double>) return "a number";
  return "a string";
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view where, JsonLimits limits) {
  const auto bad = [&](std::string why) {
    return Status(StatusCode::bad_data, fmt::format("{}: {}", where, why));
  };
  if (text.size() > limits.max_bytes) {
    return bad(fmt::format("JSON of {} bytes; the limit is {}", text.size(), limits.max_bytes));
  }
  if (text.starts_with("\xef\xbb\xbf")) return bad("not valid JSON: starts with a byte order mark");
  if (text.find('\0') != std::string_view::npos) return bad("not valid JSON: holds a NUL byte");
  StrictBuilder builder(limits);
  if (!Json::sax_parse(text.begin(), text.end(), &builder)) return bad(builder.error());
  return std::move(builder.document());
}

Result<Json> parse_json_file(const std::string& path, JsonLimits limits) {
  ETTIN_ASSIGN_OR_RETURN(const std::string text, read_file(path, limits.max_bytes));
  return parse_json(text, path, limits);
}

std::string dump_json(const Json& value, int indent) {
  return value.dump(indent, ' ', false, Json::error_handler_t::replace);
}

const Json* json_member(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto it = object.find(key);
  return it == object.end() ? nullptr : &*it;
}

template <class T>
Result<std::optional<T>> json_find(const Json& object, std::string_view key,
                                   std::string_view where) {
  const Json* v = json_member(object, key);
  if (v == nullptr || v->is_null()) return std::optional<T>();
  std::optional<T> value = convert<T>(*v);
  if (!value) return wrong_type(where, key, expected_name<T>(), *v);
  return value;
}

template <class T>
Result<T> json_get(const Json& object, std::string_view key, std::string_view where) {
  ETTIN_ASSIGN_OR_RETURN(std::optional<T> value, json_find<T>(object, key, where));
  if (!value) {
    return Status(StatusCode::bad_data, fmt::format("{}: key \"{}\" is missing", where, key));
  }
  return *std::move(value);
}

template Result<bool> json_get<bool>(const Json&, std::string_view, std::string_view);
template Result<int64_t> json_get<int64_t>(const Json&, std::string_view, std::string_view);
template Result<double> json_get<double>(const Json&, std::string_view, std::string_view);
template Result<std::string> json_get<std::string>(const Json&, std::string_view, std::string_view);
template Result<std::optional<bool>> json_find<bool>(const Json&, std::string_view,
                                                     std::string_view);
template Result<std::optional<int64_t>> json_find<int64_t>(const Json&, std::string_view,
                                                           std::string_view);
template Result<std::optional<double>> json_find<double>(const Json&, std::string_view,
                                                         std::string_view);
template Result<std::optional<std::string>> json_find<std::string>(const Json&, std::string_view,
                                                                   std::string_view);

}  // namespace ettin
