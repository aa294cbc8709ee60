#include "text/clean_up.h"

#include <string_view>
#include <utility>

namespace ettin {
namespace {

void replace_all(std::string_view from, std::string_view to, std::string* text) {
  size_t found = text->find(from);
  if (found == std::string::npos) return;
  std::string out;
  out.reserve(text->size());
  size_t copied = 0;
  for (; found != std::string::npos; found = text->find(from, copied)) {
    out.append(*text, copied, found - copied).append(to);
    copied = found + from.size();
  }
  out.append(*text, copied);
  *text = std::move(out);
}

}  // namespace

std::string clean_up_spaces(std::string text) {
  constexpr std::pair<std::string_view, std::string_view> kRules[] = {
      {" .", "."},     {" ?", "?"},   {" !", "!"},   {" ,", ","},     {" ' ", "'"},
      {" n't", "n't"}, {" 'm", "'m"}, {" 's", "'s"}, {" 've", "'ve"}, {" 're", "'re"},
  };
  for (const auto& [from, to] : kRules) replace_all(from, to, &text);
  return text;
}

}  // namespace ettin
