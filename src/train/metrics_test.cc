#include "train/metrics.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <map>

#include "base/test_files.h"
#include "train/event_file.h"

namespace ettin {
namespace {

using Point = std::pair<int64_t, float>;

// A reader of event files that shares nothing with the writer: checksums bit by bit, protobuf's
// wire format by hand, and TensorBoard's rule for what a restart drops.
class TensorBoard {
 public:
  std::map<std::string, std::vector<Point>> scalars;
  int starts = 0;

  void read_folder(const std::string& folder) {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      if (entry.path().filename().string().find("tfevents") != std::string::npos) {
        paths.push_back(entry.path());
      }
    }
    std::sort(paths.begin(), paths.end());
    for (const std::string& path : paths) read_file(test::slurp(path));
  }

 private:
  static uint32_t masked_crc(std::string_view bytes) {
    uint32_t crc = 0xffffffff;
    for (const char c : bytes) {
      crc ^= static_cast<unsigned char>(c);
      for (int i = 0; i < 8; ++i) crc = (crc & 1) != 0 ? (crc >> 1) ^ 0x82f63b78 : crc >> 1;
    }
    crc = ~crc;
    return ((crc >> 15) | (crc << 17)) + 0xa282ead8;
  }

  template <class T>
  static T take(std::string_view* bytes) {
    EXPECT_GE(bytes->size(), sizeof(T));
    T value = {};
    std::memcpy(&value, bytes->data(), std::min(sizeof(T), bytes->size()));
    bytes->remove_prefix(std::min(sizeof(T), bytes->size()));
    return value;
  }

  static uint64_t varint(std::string_view* bytes) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      const auto byte = take<uint8_t>(bytes);
      value |= uint64_t{byte & 0x7fU} << shift;
      if (byte < 0x80) break;
    }
    return value;
  }

  // Each field's number and content: varints and fixed numbers as 8 bytes, strings as they are.
  static std::multimap<int, std::string> message(std::string_view bytes) {
    std::multimap<int, std::string> fields;
    while (!bytes.empty() && !testing::Test::HasFailure()) {
      const uint64_t key = varint(&bytes);
      uint64_t number = 0;
      std::string content;
      switch (key & 7) {
        case 0:
          number = varint(&bytes);
          break;
        case 1:
          number = take<uint64_t>(&bytes);
          break;
        case 5:
          number = take<uint32_t>(&bytes);
          break;
        default:
          EXPECT_EQ(key & 7, 2U);
          number = varint(&bytes);
          content = bytes.substr(0, number);
          EXPECT_EQ(content.size(), number);
          bytes.remove_prefix(content.size());
      }
      if ((key & 7) != 2) content.assign(reinterpret_cast<const char*>(&number), sizeof(number));
      fields.emplace(static_cast<int>(key >> 3), content);
    }
    return fields;
  }

  template <class T>
  static T number(const std::multimap<int, std::string>& fields, int field) {
    T value = {};
    if (const auto at = fields.find(field); at != fields.end()) {
      std::memcpy(&value, at->second.data(), sizeof(T));
    }
    return value;
  }

  void read_file(std::string_view file) {
    bool first = true;
    while (!file.empty() && !testing::Test::HasFailure()) {
      const std::string_view length_bytes = file.substr(0, 8);
      const auto length = take<uint64_t>(&file);
      EXPECT_EQ(take<uint32_t>(&file), masked_crc(length_bytes));
      ASSERT_LE(length + 4, file.size());
      const std::string_view data = file.substr(0, length);
      file.remove_prefix(length);
      EXPECT_EQ(take<uint32_t>(&file), masked_crc(data));
      const auto event = message(data);
      EXPECT_GT(number<double>(event, 1), 1.6e9);
      EXPECT_EQ(event.contains(3), first);
      if (first) {
        EXPECT_EQ(event.find(3)->second, "brain.Event:2");
      }
      first = false;
      const auto step = number<int64_t>(event, 2);
      if (const auto log = event.find(7); log != event.end()) {
        EXPECT_EQ(number<int64_t>(message(log->second), 1), 1);
        if (starts++ > 0) drop_from(step);
      }
      if (const auto summary = event.find(5); summary != event.end()) {
        const auto values = message(summary->second);
        for (const auto& [field, value] : values) {
          EXPECT_EQ(field, 1);
          const auto scalar = message(value);
          scalars[scalar.find(1)->second].emplace_back(step, number<float>(scalar, 2));
        }
      }
    }
  }

  void drop_from(int64_t step) {
    for (auto& [tag, points] : scalars) {
      std::erase_if(points, [&](const Point& point) { return point.first >= step; });
    }
  }
};

StepMetrics step_metrics(int64_t step) {
  const auto x = static_cast<double>(step);
  return {step, "pretrain", step * 100, 100, 30, 10 / x, 1e-3 * x, x / 3, 0.5, 0.125, step == 2};
}

MetricsLog open_log(const std::string& folder, int64_t steps) {
  Result<MetricsLog> log = MetricsLog::open(folder, steps);
  EXPECT_TRUE(log.ok()) << log.status().to_string();
  return std::move(*log);
}

void write_run(const std::string& folder, int64_t from, int64_t to) {
  MetricsLog log = open_log(folder, from);
  for (int64_t step = from + 1; step <= to; ++step) ASSERT_TRUE(log.add(step_metrics(step)).ok());
  ASSERT_TRUE(log.add(ValidationMetrics{to, to * 100, 2.5, 0.25}).ok());
}

TEST(Crc32c, KnownValues) {
  EXPECT_EQ(crc32c(""), 0U);
  EXPECT_EQ(crc32c("123456789"), 0xe3069283U);            // the catalogue's check value
  EXPECT_EQ(crc32c(std::string(32, '\0')), 0x8a9136aaU);  // RFC 3720, appendix B.4
  EXPECT_EQ(crc32c(std::string(32, '\xff')), 0x62a8ab43U);
}

TEST(Metrics, NumbersComeBackToTheBit) {
  const test::TempDir dir;
  const double numbers[] = {0.1,
                            1.0 / 3,
                            -2.5e-310,
                            std::numeric_limits<double>::max(),
                            std::numeric_limits<double>::infinity(),
                            -std::numeric_limits<double>::quiet_NaN()};
  {
    MetricsLog log = open_log(dir.path(), 0);
    int64_t step = 0;
    for (const double x : numbers) {
      StepMetrics m = step_metrics(++step);
      m.loss = m.learning_rate = m.gradient_norm = m.seconds = m.data_seconds = x;
      m.tokens = std::numeric_limits<int64_t>::max();
      m.phase = "a, \"b\"\n\x01ü,";
      ASSERT_TRUE(log.add(m).ok());
    }
  }
  const auto rows = read_metrics(dir.path());
  ASSERT_TRUE(rows.ok()) << rows.status().to_string();
  ASSERT_EQ(rows->size(), std::size(numbers));
  for (size_t i = 0; i < rows->size(); ++i) {
    const StepMetrics& m = (*rows)[i];
    EXPECT_EQ(m.step, static_cast<int64_t>(i) + 1);
    EXPECT_EQ(m.phase, "a, \"b\"  ü,");
    EXPECT_EQ(m.tokens, std::numeric_limits<int64_t>::max());
    EXPECT_EQ(m.skipped, i == 1);
    for (const double x : {m.loss, m.learning_rate, m.gradient_norm, m.seconds, m.data_seconds}) {
      EXPECT_EQ(std::memcmp(&x, &numbers[i], sizeof(x)), 0) << x << " " << numbers[i];
    }
  }
}

TEST(Metrics, AReaderSeesEachStepAtOnce) {
  const test::TempDir dir;
  MetricsLog log = open_log(dir.path(), 0);
  EXPECT_TRUE(read_metrics(dir.path())->empty());
  for (int64_t step = 1; step <= 3; ++step) {
    ASSERT_TRUE(log.add(step_metrics(step)).ok());
    EXPECT_EQ(read_metrics(dir.path())->size(), static_cast<size_t>(step));
  }
  EXPECT_EQ(test::slurp(dir.path() + "/metrics.csv").substr(0, 14), "step,phase,tok");
}

TEST(Metrics, AResumedRunForgetsLaterSteps) {
  const test::TempDir dir;
  write_run(dir.path(), 0, 5);
  write_run(dir.path(), 3, 4);
  const auto rows = read_metrics(dir.path());
  ASSERT_EQ(rows->size(), 4U);
  EXPECT_EQ(rows->back().step, 4);
  const auto validations = read_validation(dir.path());
  ASSERT_EQ(validations->size(), 1U);
  EXPECT_EQ(validations->front().tokens, 400);
  TensorBoard board;
  board.read_folder(dir.path());
  EXPECT_EQ(board.starts, 2);
  ASSERT_EQ(board.scalars["loss"].size(), 4U);
  for (int64_t step = 1; step <= 4; ++step) {
    EXPECT_EQ(board.scalars["loss"][static_cast<size_t>(step - 1)],
              Point(step, static_cast<float>(10 / static_cast<double>(step))));
  }
  EXPECT_EQ(board.scalars["learning_rate"][1], Point(2, 2e-3F));
  EXPECT_EQ(board.scalars["gradient_norm"][2], Point(3, 1.0F));
  EXPECT_EQ(board.scalars["tokens"][3], Point(4, 400.0F));
  EXPECT_EQ(board.scalars["tokens_per_second"][0], Point(1, 200.0F));
  EXPECT_EQ(board.scalars["validation/loss"], std::vector<Point>{Point(4, 2.5F)});
  EXPECT_EQ(board.scalars["validation/accuracy"], std::vector<Point>{Point(4, 0.25F)});
  EXPECT_EQ(board.scalars.size(), 7U);
}

TEST(Metrics, ARunFromTheStartForgetsEverything) {
  const test::TempDir dir;
  {
    MetricsLog log = open_log(dir.path(), 0);
    ASSERT_TRUE(log.add(ValidationMetrics{0, 0, 11, 0}).ok());
  }
  write_run(dir.path(), 0, 5);
  write_run(dir.path(), 0, 1);
  EXPECT_EQ(read_metrics(dir.path())->size(), 1U);
  EXPECT_EQ(read_validation(dir.path())->size(), 1U);
  TensorBoard board;
  board.read_folder(dir.path());
  EXPECT_EQ(board.scalars["loss"].size(), 1U);
  EXPECT_EQ(board.scalars["validation/loss"].size(), 1U);
}

TEST(Metrics, EventFilesAreReadInTheOrderOfTheRun) {
  // A file from a clock that was ahead, and some names that only look alike.
  const test::TempDir dir;
  for (const char* name : {"events.out.tfevents.4000000000.host", "events.out.tfevents.x",
                           "events.out.tfevents.99999999999999999999.x"}) {
    dir.write(name, "");
  }
  write_run(dir.path(), 0, 1);
  write_run(dir.path(), 1, 2);
  EXPECT_TRUE(std::filesystem::exists(dir.path() + "/events.out.tfevents.4000000001.ettin"));
  EXPECT_TRUE(std::filesystem::exists(dir.path() + "/events.out.tfevents.4000000002.ettin"));
}

TEST(Metrics, ValidatingAStepAgainReplacesIt) {
  const test::TempDir dir;
  MetricsLog log = open_log(dir.path(), 0);
  ASSERT_TRUE(log.add(ValidationMetrics{7, 70, 3, 0}).ok());
  ASSERT_TRUE(log.add(ValidationMetrics{7, 70, 4, 0}).ok());
  const auto rows = read_validation(dir.path());
  ASSERT_EQ(rows->size(), 1U);
  EXPECT_EQ(rows->front().loss, 4);
}

// A file cut anywhere is a run that stopped earlier, and goes on.
TEST(Metrics, FilesMayBeTornAnywhere) {
  const test::TempDir dir;
  write_run(dir.path(), 0, 3);
  const std::string whole = test::slurp(dir.path() + "/metrics.csv");
  const size_t header = whole.find('\n') + 1;
  for (size_t size = 0; size <= whole.size(); ++size) {
    dir.write("metrics.csv", whole.substr(0, size));
    const auto rows = read_metrics(dir.path());
    ASSERT_TRUE(rows.ok()) << size << " " << rows.status().to_string();
    const auto lines = std::count(whole.begin(), whole.begin() + static_cast<long>(size), '\n');
    EXPECT_EQ(rows->size(), size < header ? 0 : static_cast<size_t>(lines - 1));
  }
  // After a loss of power a file may end in zeros.
  dir.write("metrics.csv", whole + std::string(100, '\0'));
  EXPECT_EQ(read_metrics(dir.path())->size(), 3U);
  write_run(dir.path(), 3, 4);
  EXPECT_EQ(read_metrics(dir.path())->size(), 4U);
  EXPECT_TRUE(test::slurp(dir.path() + "/metrics.csv").starts_with(whole));
}

TEST(Metrics, DamagedLinesAreNamedAndDropped) {
  const std::string header =
      "step,phase,tokens,step_tokens,targets,loss,learning_rate,gradient_norm,seconds,"
      "data_seconds,skipped\n";
  const std::string good = "1,p,1,1,1,1,1,1,1,1,0\n", last = "3,p,1,1,1,1,1,1,1,1,0\n";
  for (const char* bad : {"",
                          "2",
                          "2,p,1,1,1,1,1,1,1,1",
                          "2,p,1,1,1,1,1,1,1,1,0,",
                          "2,p,1,1,1,1,1,1,1,1,2",
                          "2,p,-1,1,1,1,1,1,1,1,0",
                          "2,p,1,1,1,one,1,1,1,1,0",
                          "2,p,1,1,1,,1,1,1,1,0",
                          "2,p,99999999999999999999,1,1,1,1,1,1,1,0",
                          "1,p,1,1,1,1,1,1,1,1,0",
                          "0,p,1,1,1,1,1,1,1,1,0 ",
                          "2,\"p,1,1,1,1,1,1,1,1,0",
                          "2,\"p\"q,1,1,1,1,1,1,1,1,0",
                          "2,p\"q,1,1,1,1,1,1,1,1,0",
                          "2,p,1.5,1,1,1,1,1,1,1,0",
                          "2,p,1,1,1,1e999,1,1,1,1,0",
                          "2,p,1,1,1, 1,1,1,1,1,0",
                          "2,p,1,1,1,1,1,1,1,1,0\r",
                          "2,\"",
                          "\xff,,,,,,,,,,"}) {
    const test::TempDir dir;
    const std::string path = dir.write("metrics.csv", header + good + bad + "\n" + last);
    const auto rows = read_metrics(dir.path());
    EXPECT_EQ(rows.status().code(), StatusCode::bad_data) << bad;
    EXPECT_EQ(rows.status().message(), path + ": line 3 is damaged") << bad;
    open_log(dir.path(), 3);
    EXPECT_EQ(test::slurp(path), header + good + last) << bad;
  }
}

TEST(Metrics, ForeignFilesAreNotTouched) {
  const test::TempDir dir;
  const std::string foreign = "step,loss\n1,2\n";
  const std::string path = dir.write("metrics.csv", foreign);
  EXPECT_EQ(read_metrics(dir.path()).status().code(), StatusCode::bad_data);
  const auto log = MetricsLog::open(dir.path(), 1);
  EXPECT_EQ(log.status().code(), StatusCode::bad_data);
  EXPECT_NE(log.status().message().find(path), std::string::npos);
  EXPECT_EQ(test::slurp(path), foreign);
}

TEST(Metrics, AFolderWithoutARun) {
  const test::TempDir dir;
  EXPECT_EQ(read_metrics(dir.path()).status().code(), StatusCode::not_found);
  EXPECT_TRUE(read_validation(dir.path())->empty());
  EXPECT_FALSE(MetricsLog::open(dir.path() + "/none", 0).ok());
}

}  // namespace
}  // namespace ettin
