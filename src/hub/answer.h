// What a server of the hub's protocol says in the first lines of an answer.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "ettin/status.h"

namespace ettin {

struct Answer {
  int status = 0;                              // 0: none came
  std::map<std::string, std::string> headers;  // names in lower case; the last of a name counts
  std::string url;                             // that gave it

  std::string header(std::string_view lower_case_name) const;
  // One line as received. A status line begins a new answer: what was known before is forgotten.
  void add_line(std::string_view line);
};

// An entity tag without W/ and quotes.
std::string plain_etag(std::string_view etag);

struct ByteRange {
  uint64_t first = 0;
  std::optional<uint64_t> total;
};
// "bytes 100-199/200".
std::optional<ByteRange> parse_content_range(std::string_view text);
// Digits only.
std::optional<uint64_t> parse_size(std::string_view text);

// Seconds that the server asks to wait: Retry-After, or the "t=" of RateLimit. At most 60.
std::optional<int> wanted_delay(const Answer& answer);
// May the same request succeed later?
bool is_passing_failure(int status);

// What a refusal means. `repository` and `revision` were asked for; `path` may be empty.
Status explain_refusal(const Answer& answer, std::string_view repository, std::string_view revision,
                       std::string_view path, bool had_token);

// `text` as a part of an address; slashes stay when `keep_slashes`.
std::string percent_encoded(std::string_view text, bool keep_slashes);

}  // namespace ettin
