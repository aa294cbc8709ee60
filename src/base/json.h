// JSON behind one strict reader (library: nlohmann-json).
//
// Text from outside is refused when it has duplicate keys, a byte order mark, a NUL byte, integers
// beyond 64 bits, invalid UTF-8, trailing text, or more nesting or bytes than the limits allow.
// Nothing here throws.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "ettin/status.h"

namespace ettin {

using Json = nlohmann::ordered_json;  // keeps the order of keys; look-up is linear

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;
  int max_depth = 32;
  bool big_integers = false;  // true: an integer beyond 64 bits is read as a double, not refused
};

// `where` names the source in messages, e.g. a path.
Result<Json> parse_json(std::string_view text, std::string_view where, JsonLimits limits = {});

// Reads and parses a file; the size limit is applied before anything is read.
Result<Json> parse_json_file(const std::string& path, JsonLimits limits = {});

// Never fails: invalid UTF-8 in strings is written as U+FFFD. indent < 0: one line.
std::string dump_json(const Json& value, int indent = -1);

// Typed access to a key of an object; the error names `where`, the key, what was expected and what
// was found. T: bool, int64_t, double, std::string.
template <class T>
Result<T> json_get(const Json& object, std::string_view key, std::string_view where);

// The same, but an absent key or null is nullopt. A value of another type is still an error.
template <class T>
Result<std::optional<T>> json_find(const Json& object, std::string_view key,
                                   std::string_view where);

// The member `key`, or nullptr when `object` is not an object or has no such key.
const Json* json_member(const Json& object, std::string_view key);

}  // namespace ettin
