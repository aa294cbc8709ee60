// Stop strings over a stream of text: lets through what can no longer become part of one. The stop
// string that is complete first ends the text, so the result does not depend on how it is cut.
#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ettin {

class StopText {
 public:
  explicit StopText(const std::vector<std::string>& stops) : stops_(stops) {}

  // Adds a piece; returns what is now certain to precede any stop string. After a match: stopped().
  std::string push(std::string_view piece) {
    held_ += piece;
    size_t cut = std::string::npos, end = std::string::npos;
    for (const std::string& s : stops_) {
      const size_t at = held_.find(s);
      if (at == std::string::npos) continue;
      if (at + s.size() < end) cut = at;
      if (at + s.size() == end) cut = std::min(cut, at);
      end = std::min(end, at + s.size());
    }
    if (cut != std::string::npos) {
      stopped_ = true;
      std::string out = held_.substr(0, cut);
      held_.clear();
      return out;
    }
    size_t keep = 0;  // the longest end of held_ that begins a stop string
    for (const std::string& s : stops_) {
      for (size_t n = std::min(s.size() - 1, held_.size()); n > keep; --n) {
        if (std::string_view(held_).ends_with(std::string_view(s).substr(0, n))) keep = n;
      }
    }
    std::string out = held_.substr(0, held_.size() - keep);
    held_.erase(0, held_.size() - keep);
    return out;
  }

  // The end of the stream: what was held back.
  std::string finish() { return std::exchange(held_, {}); }

  bool stopped() const { return stopped_; }

 private:
  const std::vector<std::string>& stops_;
  std::string held_;
  bool stopped_ = false;
};

}  // namespace ettin
