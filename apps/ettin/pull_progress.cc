#include "pull_progress.h"

#include <fmt/format.h>

#include <cstdlib>

#include "text_layout.h"

namespace ettin::cli {

PullOptions PullProgressLine::options() {
  PullOptions options;
  options.notice = [this](std::string_view message) { console_.notice(message); };
  const char* const refused = std::getenv("HF_HUB_DISABLE_PROGRESS_BARS");
  if (console_.can_animate() && (refused == nullptr || std::string_view(refused) != "1")) {
    options.progress = [this](const PullProgress& progress) { show(progress); };
  }
  return options;
}

void PullProgressLine::show(const PullProgress& progress) {
  const Clock::time_point now = Clock::now();
  if (!start_) {
    start_ = now;
    there_at_start_ = progress.bytes;
  } else if (now - shown_ < std::chrono::milliseconds(100) && progress.bytes < progress.total) {
    return;
  }
  shown_ = now;
  constexpr int kBarColumns = 24;
  const auto total = static_cast<double>(std::max<uint64_t>(progress.total, 1));
  const double fraction = static_cast<double>(progress.bytes) / total;
  const double seconds = std::chrono::duration<double>(now - *start_).count();
  const double fetched = static_cast<double>(progress.bytes) - static_cast<double>(there_at_start_);
  std::string line = fmt::format(
      "{} {:3.0f} %  {} of {}", pad_right(bar(fraction, kBarColumns, console_.utf8()), kBarColumns),
      fraction * 100, readable_bytes(static_cast<double>(progress.bytes)), readable_bytes(total));
  if (seconds > 0.5 && fetched > 0) {
    line += fmt::format(", {} a second", readable_bytes(fetched / seconds));
    if (fraction < 1) {
      const double left = (total - static_cast<double>(progress.bytes)) * seconds / fetched;
      line += fmt::format(", {} left", readable_ms(left * 1e3));
    }
  }
  console_.draw_progress(shorten(line, console_.width() - 1, console_.utf8()));
}

}  // namespace ettin::cli
