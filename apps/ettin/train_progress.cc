#include "train_progress.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "report/axis.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr int kLeastBar = 8, kMostBar = 28;

struct Piece {
  std::string text;
  int rank;  // pieces of higher ranks are left out first
};

std::string tokens_text(double tokens) { return short_number(tokens, 3); }

std::string norm_text(double norm) {
  return norm < 1000 ? fmt::format("{:.3f}", norm) : fmt::format("{:.2e}", norm);
}

// In the order they are read.
std::array<Piece, 9> pieces(const TrainStanding& s, bool precise) {
  const StepMetrics& m = s.last;
  return {{{printable(m.phase), 6},
           // 100 % is said of a run that is done, not of one that nearly is.
           {precise ? fmt::format("{:.1f} %", std::floor(s.fraction * 1000) / 10)
                    : fmt::format("{:3.0f} %", std::floor(s.fraction * 100)),
            0},
           {"step " + with_commas(m.step), 3},
           {tokens_text(static_cast<double>(m.tokens)) + " tokens", 7},
           {s.tokens_per_second > 0 ? tokens_text(s.tokens_per_second) + " tok/s" : "", 5},
           {fmt::format("loss {:.4f}", s.loss), 1},
           {fmt::format("lr {:.2e}", m.learning_rate), 8},
           {"norm " + norm_text(m.gradient_norm), 9},
           {s.seconds_left ? readable_duration(*s.seconds_left) + " left" : "", 2}}};
}

constexpr int kBarRank = 4;

template <class Pieces>
std::string joined(const Pieces& all, int most_rank, std::string_view bar_text) {
  std::string line;
  const auto add = [&](std::string_view text) {
    if (text.empty()) return;
    if (!line.empty()) line += "  ";
    line += text;
  };
  for (size_t i = 0; i < all.size(); ++i) {
    if (i == 1) add(bar_text);  // between the phase and the per cent
    if (all[i].rank <= most_rank) add(all[i].text);
  }
  return line;
}

}  // namespace

std::string progress_line(const TrainStanding& standing, int columns, bool utf8) {
  const auto all = pieces(standing, false);
  for (int most_rank = 9; most_rank >= 0; --most_rank) {
    const std::string text = joined(all, most_rank, "");
    const int room = columns - display_width(text);
    if (most_rank < kBarRank) {
      if (room >= 0 || most_rank == 0) return shorten(text, std::max(columns, 0), utf8);
      continue;
    }
    // The end of the bar shows where its whole is.
    const int bar_columns = std::min(room - 4, kMostBar);
    if (bar_columns < kLeastBar) continue;
    const std::string filled = bar(standing.fraction, bar_columns, utf8);
    return joined(all, most_rank,
                  (utf8 ? "▕" : "[") + pad_right(filled, bar_columns) + (utf8 ? "▏" : "]"));
  }
  return {};
}

std::string plain_line(const TrainStanding& standing) {
  return joined(pieces(standing, true), 9, "");
}

TrainProgress::TrainProgress(Console& console, const TrainPlan& plan)
    : console_(console), plan_(plan) {}

void TrainProgress::step(const StepMetrics& m) {
  const bool new_phase = steps_ > 0 && m.phase != standing_.last.phase;
  standing_.last = m;
  ++steps_;
  tokens_ += m.step_tokens;
  if (m.seconds > 0) {
    const double fade = std::exp(-m.seconds / 30);
    recent_tokens_ = recent_tokens_ * fade + static_cast<double>(m.step_tokens);
    recent_seconds_ = recent_seconds_ * fade + m.seconds;
    standing_.tokens_per_second = recent_tokens_ / recent_seconds_;
  }
  if (!m.skipped && std::isfinite(m.loss)) {
    const auto weight = static_cast<double>(std::max<int64_t>(m.targets, 1));
    loss_sum_ += m.loss * weight;
    loss_weight_ += weight;
  }
  standing_.loss = loss_weight_ > 0 ? loss_sum_ / loss_weight_ : m.loss;
  const auto total = static_cast<double>(std::max<int64_t>(plan_.tokens, 1));
  standing_.fraction = std::clamp(static_cast<double>(m.tokens) / total, 0.0, 1.0);
  const Clock::time_point now = Clock::now();
  const double elapsed = std::chrono::duration<double>(now - start_).count();
  const auto done = static_cast<double>(m.tokens - plan_.done_tokens);
  // Of all that passed, validations and checkpoints included; one step says too little.
  if (steps_ > 1 && done > 0) {
    standing_.seconds_left = std::max(total - static_cast<double>(m.tokens), 0.0) * elapsed / done;
  }
  if (new_phase) note(fmt::format("phase {} begins with step {}", m.phase, with_commas(m.step)));
  if (m.skipped) {
    note(fmt::format("step {} skipped: loss {:.4g}, gradient norm {:.4g}", with_commas(m.step),
                     m.loss, m.gradient_norm));
  }
  const std::chrono::duration<double> pause(console_.can_animate() ? 0.1 : plan_.line_seconds);
  if (!shown_ || now - *shown_ >= pause || m.tokens >= plan_.tokens) show(now);
}

void TrainProgress::show(Clock::time_point now) {
  shown_ = now;
  loss_sum_ = loss_weight_ = 0;
  if (console_.can_animate()) {
    redraw();
  } else {
    console_.say(plain_line(standing_));
  }
}

void TrainProgress::redraw() {
  if (steps_ == 0 || !console_.can_animate()) return;
  console_.draw_progress(progress_line(standing_, console_.width() - 1, console_.utf8()));
}

void TrainProgress::validation(const ValidationMetrics& m) {
  note(fmt::format("step {}  validation loss {:.4f}  accuracy {:.2f} %", with_commas(m.step),
                   m.loss, m.accuracy * 100));
}

void TrainProgress::note(std::string_view text) {
  console_.say(text);
  redraw();
}

void TrainProgress::finish() {
  console_.draw_progress("");
  if (steps_ == 0) return;
  const double seconds = std::chrono::duration<double>(Clock::now() - start_).count();
  std::string text =
      fmt::format("{} step{}, {} tokens in {}", with_commas(steps_), steps_ == 1 ? "" : "s",
                  tokens_text(static_cast<double>(tokens_)), readable_duration(seconds));
  if (seconds > 0) {
    text +=
        fmt::format(", {} tokens a second", tokens_text(static_cast<double>(tokens_) / seconds));
  }
  console_.say(text);
}

}  // namespace ettin::cli
