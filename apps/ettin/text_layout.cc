#include "text_layout.h"

#include <fmt/format.h>
#include <wchar.h>

#include <algorithm>
#include <cmath>

#include "base/utf8.h"

namespace ettin::cli {

std::string bar(double fraction, int columns, bool utf8) {
  if (!(fraction > 0) || columns <= 0) return {};
  fraction = std::min(fraction, 1.0);
  if (!utf8) {
    const auto marks = static_cast<size_t>(std::lround(fraction * columns));
    return std::string(std::max<size_t>(marks, 1), '#');
  }
  static constexpr std::string_view kEighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
  const long eighths = std::max(1L, std::lround(fraction * columns * 8));
  std::string out;
  for (long i = 0; i < eighths / 8; ++i) out += "█";
  return out += kEighths[eighths % 8];
}

int display_width(std::string_view text) {
  int width = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    at += step.length;
    const int columns = ::wcwidth(static_cast<wchar_t>(step.code_point));
    width += columns < 0 ? 1 : columns;  // unknown to the locale: assume one
  }
  return width;
}

std::string pad_right(std::string_view text, int columns) {
  const int missing = columns - display_width(text);
  return std::string(text) + std::string(static_cast<size_t>(std::max(missing, 0)), ' ');
}

std::string pad_left(std::string_view text, int columns) {
  const int missing = columns - display_width(text);
  return std::string(static_cast<size_t>(std::max(missing, 0)), ' ') + std::string(text);
}

std::string shorten(std::string_view text, int columns, bool utf8) {
  if (display_width(text) <= columns) return std::string(text);
  const std::string_view ellipsis = utf8 ? "…" : "...";
  const int room = columns - (utf8 ? 1 : 3);
  size_t end = 0;
  for (int width = 0; end < text.size();) {
    const size_t length = decode_utf8(text, end).length;
    width += display_width(text.substr(end, length));
    if (width > room) break;
    end += length;
  }
  return std::string(text.substr(0, end)) + std::string(ellipsis);
}

std::vector<std::string> wrap(std::string_view text, int columns) {
  std::vector<std::string> lines(1);
  while (!text.empty()) {
    const size_t space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    text.remove_prefix(space == std::string_view::npos ? text.size() : space + 1);
    if (word.empty()) continue;
    const int needed = display_width(lines.back()) + 1 + display_width(word);
    if (!lines.back().empty() && needed > columns) {
      lines.emplace_back(word);
    } else {
      if (!lines.back().empty()) lines.back() += ' ';
      lines.back() += word;
    }
  }
  return lines;
}

std::string printable(std::string_view text, bool keep_layout) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    const char32_t c = step.code_point;
    const std::string_view bytes = text.substr(at, step.length);
    at += step.length;
    if (!step.valid) {
      append_utf8(U'\ufffd', &out);
    } else if (c == U'\n' || c == U'\t') {
      out += keep_layout ? std::string(bytes) : c == U'\n' ? "\\n" : "\\t";
    } else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
      out += fmt::format("\\x{:02x}", static_cast<uint32_t>(c));
    } else {
      out += bytes;
    }
  }
  return out;
}

std::string with_commas(long long number) {
  std::string digits = std::to_string(number);
  const size_t sign = number < 0 ? 1 : 0;
  for (size_t at = digits.size(); at > sign + 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string readable_count(double count) {
  if (count >= 1e9) return fmt::format("{:.2f} billion", count / 1e9);
  if (count >= 1e6) return fmt::format("{:.1f} million", count / 1e6);
  return with_commas(std::llround(count));
}

std::string readable_bytes(double bytes) {
  if (bytes < 1000) return fmt::format("{:.0f} B", bytes);
  if (bytes < 1e6) return fmt::format("{:.1f} kB", bytes / 1e3);
  if (bytes < 1e9) return fmt::format("{:.1f} MB", bytes / 1e6);
  return fmt::format("{:.2f} GB", bytes / 1e9);
}

std::string readable_ms(double milliseconds) {
  if (milliseconds < 1) return fmt::format("{:.2f} ms", milliseconds);
  if (milliseconds < 10) return fmt::format("{:.1f} ms", milliseconds);
  if (milliseconds < 10000) return fmt::format("{:.0f} ms", milliseconds);
  return fmt::format("{:.1f} s", milliseconds / 1e3);
}

std::string readable_duration(double seconds) {
  if (!(seconds >= 0 && seconds < 3e11)) return "-";  // ten thousand years; or nan
  const long long s = std::llround(seconds);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  if (s < 86400) return fmt::format("{} h {} min", s / 3600, s % 3600 / 60);
  return fmt::format("{} d {} h", s / 86400, s % 86400 / 3600);
}

std::string percent(double probability) { return fmt::format("{:5.1f} %", probability * 100); }

}  // namespace ettin::cli
