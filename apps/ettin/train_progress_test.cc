#include "train_progress.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <clocale>
#include <limits>

#include "text_layout.h"

namespace ettin::cli {
namespace {

class TrainProgressLayout : public testing::Test {
 protected:
  // Widths need a locale that knows Unicode.
  void SetUp() override { std::setlocale(LC_CTYPE, "C.UTF-8"); }

  static TrainStanding standing() {
    TrainStanding s;
    s.last.step = 1234;
    s.last.phase = "pretrain";
    s.last.tokens = 12345678;
    s.last.learning_rate = 3e-3;
    s.last.gradient_norm = 0.5125;
    s.loss = 2.34567;
    s.fraction = 0.4249;
    s.tokens_per_second = 45210;
    s.seconds_left = 11520;
    return s;
  }
};

TEST_F(TrainProgressLayout, AWideTerminalShowsEverything) {
  EXPECT_EQ(progress_line(standing(), 135, true),
            "pretrain  ▕" + pad_right(bar(0.4249, 22, true), 22) +
                "▏   42 %  step 1,234  12.3M tokens  45.2k tok/s  loss 2.3457  lr 3.00e-03  "
                "norm 0.512  3 h 12 min left");
  EXPECT_EQ(plain_line(standing()),
            "pretrain  42.4 %  step 1,234  12.3M tokens  45.2k tok/s  loss 2.3457  lr 3.00e-03  "
            "norm 0.512  3 h 12 min left");
}

TEST_F(TrainProgressLayout, NarrowTerminalsLoseWhatMattersLeast) {
  EXPECT_EQ(progress_line(standing(), 80, true),
            "▕██████▊         ▏   42 %  step 1,234  45.2k tok/s  loss 2.3457  3 h 12 min left");
  EXPECT_EQ(progress_line(standing(), 60, false),
            "[####     ]   42 %  step 1,234  loss 2.3457  3 h 12 min left");
  EXPECT_EQ(progress_line(standing(), 30, true), " 42 %  loss 2.3457");
  EXPECT_EQ(progress_line(standing(), 10, true), " 42 %");
  EXPECT_EQ(progress_line(standing(), 3, true), " 4…");
}

TEST_F(TrainProgressLayout, EveryWidthFits) {
  TrainStanding odd = standing();
  odd.last.phase = "日本\x1b[2J";
  odd.loss = odd.last.learning_rate = std::numeric_limits<double>::quiet_NaN();
  odd.last.gradient_norm = std::numeric_limits<double>::infinity();
  odd.last.step = odd.last.tokens = std::numeric_limits<int64_t>::max();
  odd.fraction = 1;
  odd.seconds_left = std::numeric_limits<double>::infinity();
  TrainStanding first;
  for (const TrainStanding& s : {standing(), odd, first}) {
    for (const bool utf8 : {true, false}) {
      size_t shorter = 0;
      for (int columns = 0; columns <= 250; ++columns) {
        const std::string line = progress_line(s, columns, utf8);
        EXPECT_LE(display_width(line), std::max(columns, utf8 ? 1 : 3)) << columns;
        EXPECT_EQ(line.find('\x1b'), std::string::npos);
        EXPECT_EQ(line.find('\n'), std::string::npos);
        if (columns >= 20) {
          EXPECT_NE(line.find('%'), std::string::npos);
        }
        shorter = line.size();
      }
      EXPECT_GT(shorter, 0U);
    }
  }
}

TEST_F(TrainProgressLayout, HundredPerCentMeansDone) {
  TrainStanding s = standing();
  s.fraction = 0.99999;
  EXPECT_NE(progress_line(s, 120, true).find(" 99 %"), std::string::npos);
  EXPECT_NE(plain_line(s).find(" 99.9 %"), std::string::npos);
  s.fraction = 1;
  EXPECT_NE(progress_line(s, 120, true).find("100 %"), std::string::npos);
}

// Standard error of a test is no terminal, or is captured as if it were none.
TEST_F(TrainProgressLayout, PlainLinesComeNowAndThen) {
  testing::internal::CaptureStderr();
  {
    Console console;
    TrainPlan plan;
    plan.tokens = 1000;
    plan.line_seconds = 1e6;
    TrainProgress progress(console, plan);
    StepMetrics m;
    m.phase = "a";
    m.step_tokens = 100;
    m.targets = 10;
    m.seconds = 0.5;
    m.loss = 3;
    for (m.step = 1; m.step <= 10; ++m.step) {
      m.tokens = m.step * 100;
      m.loss = m.step == 4 ? 1e9 : 3;
      m.skipped = m.step == 4;
      if (m.step == 8) m.phase = "b\x1b[2J";
      progress.step(m);
    }
    progress.validation({10, 1000, 2.5, 0.25});
    progress.note("checkpoint written");
    progress.finish();
  }
  const std::string text = testing::internal::GetCapturedStderr();
  EXPECT_EQ(text.find('\x1b'), std::string::npos);
  EXPECT_TRUE(text.starts_with("a  10.0 %  step 1  100 tokens  200 tok/s  loss 3.0000")) << text;
  EXPECT_NE(text.find("\nstep 4 skipped: loss 1e+09"), std::string::npos);
  EXPECT_NE(text.find("\nphase b\\x1b[2J begins with step 8\n"), std::string::npos);
  EXPECT_NE(text.find("\nb\\x1b[2J  100.0 %  step 10  1000 tokens  200 tok/s  loss 3.0000"),
            std::string::npos);
  EXPECT_NE(text.find("\nstep 10  validation loss 2.5000  accuracy 25.00 %\n"), std::string::npos);
  EXPECT_NE(text.find("\ncheckpoint written\n10 steps, 1000 tokens in "), std::string::npos);
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 7) << text;
}

}  // namespace
}  // namespace ettin::cli
