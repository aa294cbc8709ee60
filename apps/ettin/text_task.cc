#include "text_task.h"

#include <fmt/format.h>

#include <utility>

#include "text_layout.h"

namespace ettin::cli {

void Progress::show(size_t texts, std::optional<double> fraction) {
  if (!console_.can_animate()) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  if (seconds < 0.5) return;
  std::string line =
      fmt::format("{} texts, {:.0f} a second", with_commas(static_cast<long long>(texts)),
                  static_cast<double>(texts) / seconds);
  if (fraction) {
    constexpr int kBarColumns = 24;
    const std::string done = bar(*fraction, kBarColumns, console_.utf8());
    line = fmt::format("{} {:3.0f} %  {}", pad_right(done, kBarColumns), *fraction * 100, line);
    if (*fraction > 0 && *fraction < 1) {
      line += fmt::format(", {} left", readable_ms(seconds * 1e3 * (1 / *fraction - 1)));
    }
  }
  console_.draw_progress(shorten(line, console_.width() - 1, console_.utf8()));
}

void TruncationNotices::add(const Record& record, int64_t tokens) {
  constexpr size_t kNamed = 3;
  if (++count_ > kNamed) return;
  console_.notice(fmt::format("{} was cut to {} tokens", record.where, tokens));
}

TruncationNotices::~TruncationNotices() {
  if (count_ > 3) console_.notice(fmt::format("{} texts were cut in all", count_));
}

Status name_record(const Status& status, const Record& record) {
  for (const std::string_view name : {"text 0 ", "prompt 0 "}) {
    if (!status.message().starts_with(name)) continue;
    return Status(status.code(),
                  fmt::format("{} {}", record.where, status.message().substr(name.size())),
                  status.hint());
  }
  return status.with_context(record.where);
}

void write_json(Console& console, const Record& record, Json answer) {
  if (record.id) {
    Json with_id = {{"id", *record.id}};
    if (answer.is_object()) {
      with_id.update(answer);
    } else {
      with_id["result"] = std::move(answer);
    }
    answer = std::move(with_id);
  }
  console.line(dump_json(answer));
}

}  // namespace ettin::cli
