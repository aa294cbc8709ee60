#include "hub/answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "hub/model_name.h"

namespace ettin {
namespace {

constexpr size_t kMostHeaders = 200;
constexpr size_t kLongestHeader = 16 << 10;

std::string_view trimmed(std::string_view text) {
  const auto blank = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && blank(text.back())) text.remove_suffix(1);
  return text;
}

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return lower;
}

}  // namespace

std::string Answer::header(std::string_view lower_case_name) const {
  const auto at = headers.find(std::string(lower_case_name));
  return at == headers.end() ? std::string() : at->second;
}

void Answer::add_line(std::string_view line) {
  line = trimmed(line);
  if (line.starts_with("HTTP/")) {
    headers.clear();
    const size_t space = line.find(' ');
    status = 0;
    if (space != std::string_view::npos) {
      const std::string_view code = line.substr(space + 1, 3);
      std::from_chars(code.data(), code.data() + code.size(), status);
    }
    return;
  }
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || line.size() > kLongestHeader) return;
  if (headers.size() >= kMostHeaders) return;
  headers[lower_case(line.substr(0, colon))] = std::string(trimmed(line.substr(colon + 1)));
}

std::string plain_etag(std::string_view etag) {
  if (etag.starts_with("W/")) etag.remove_prefix(2);
  if (etag.size() >= 2 && etag.front() == '"' && etag.back() == '"') {
    etag = etag.substr(1, etag.size() - 2);
  }
  return std::string(etag);
}

std::optional<uint64_t> parse_size(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

std::optional<ByteRange> parse_content_range(std::string_view text) {
  constexpr std::string_view kUnit = "bytes ";
  if (!text.starts_with(kUnit)) return {};
  text.remove_prefix(kUnit.size());
  const size_t dash = text.find('-'), slash = text.find('/');
  if (dash == std::string_view::npos || slash == std::string_view::npos || dash > slash) return {};
  const auto first = parse_size(text.substr(0, dash));
  const auto last = parse_size(text.substr(dash + 1, slash - dash - 1));
  const std::string_view total = text.substr(slash + 1);
  ByteRange range;
  if (total != "*") {
    range.total = parse_size(total);
    if (!range.total) return {};
  }
  if (!first || !last || *first > *last || (range.total && *last >= *range.total)) return {};
  range.first = *first;
  return range;
}

std::optional<int> wanted_delay(const Answer& answer) {
  constexpr uint64_t kMost = 60;
  if (const auto seconds = parse_size(answer.header("retry-after"))) {
    return static_cast<int>(std::min(*seconds, kMost));
  }
  const std::string limit = answer.header("ratelimit");
  const size_t at = limit.find(";t=");
  if (at == std::string::npos) return {};
  const size_t end = std::min(limit.find(';', at + 3), limit.size());
  const auto seconds = parse_size(std::string_view(limit).substr(at + 3, end - at - 3));
  if (!seconds) return {};
  return static_cast<int>(std::min(*seconds, kMost));
}

bool is_passing_failure(int status) {
  return status == 0 || status == 408 || status == 425 || status == 429 || status >= 500;
}

Status explain_refusal(const Answer& answer, std::string_view repository, std::string_view revision,
                       std::string_view path, bool had_token) {
  const std::string code = answer.header("x-error-code");
  const std::string said = answer.header("x-error-message").substr(0, 200);
  if (code == "GatedRepo") {
    return Status(StatusCode::network_error,
                  fmt::format("{} is gated: the hub wants its terms accepted first", repository),
                  had_token ? "accept them on the model's page with the account of HF_TOKEN"
                            : "accept them on the model's page, then set HF_TOKEN");
  }
  if (code == "RevisionNotFound") {
    return Status(StatusCode::not_found,
                  fmt::format("{} has no revision \"{:.100}\"", repository, revision),
                  "the model's page lists its branches and tags; main is the usual one");
  }
  if (code == "EntryNotFound") {
    return Status(StatusCode::not_found,
                  fmt::format("{}@{} has no file \"{:.200}\"", repository, revision, path));
  }
  // The hub answers 401 for what a stranger may not even know to exist.
  if (code == "RepoNotFound" || answer.status == 404) {
    const std::optional<std::string> near = nearest_family_name(repository);
    std::string hint = had_token ? "check the spelling, and that HF_TOKEN may read it"
                                 : "check the spelling; a private model needs HF_TOKEN";
    if (near && repository.starts_with("jhu-clsp/")) hint = fmt::format("did you mean {}?", *near);
    return Status(StatusCode::not_found,
                  fmt::format("the hub shows no model {}{}", repository,
                              path.empty() ? "" : fmt::format(" with a file {:.200}", path)),
                  hint);
  }
  if (answer.status == 401 || answer.status == 403) {
    return Status(StatusCode::network_error,
                  fmt::format("the hub refused access to {} (HTTP {}){}{}", repository,
                              answer.status, said.empty() ? "" : ": ", said),
                  had_token ? "HF_TOKEN is wrong or out of date, or its account may not read this"
                            : "set HF_TOKEN to a token that may read it");
  }
  if (answer.status == 429) {
    return Status(StatusCode::network_error, "the hub answers too many requests (HTTP 429)",
                  "wait some minutes; with HF_TOKEN the limit is higher");
  }
  return Status(StatusCode::network_error,
                fmt::format("{}: the server answered HTTP {}{}{}", repository, answer.status,
                            said.empty() ? "" : ": ", said),
                "try again later; what was fetched so far is kept");
}

std::string percent_encoded(std::string_view text, bool keep_slashes) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '-' || c == '_' || c == '.' || c == '~' || (c == '/' && keep_slashes);
    if (plain) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
  }
  return out;
}

}  // namespace ettin
