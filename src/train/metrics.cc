#include "train/metrics.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/append_file.h"
#include "base/file.h"
#include "base/log.h"
#include "train/event_file.h"

namespace ettin {
namespace {

// Of a file that is read: two million steps.
constexpr size_t kMostBytes = size_t{256} << 20;

// What the two files differ in.
template <class Row>
struct Table;

// Reads one line field by field; the first field that is not what it should be ends it.
class LineReader {
 public:
  explicit LineReader(std::string_view line) : rest_(line) {}

  LineReader& read(int64_t* out) {
    const std::string_view field = next();
    return expect(whole(field, out) && *out >= 0);
  }
  LineReader& read(double* out) { return expect(whole(next(), out)); }
  LineReader& read(bool* out) {
    const std::string_view field = next();
    *out = field == "1";
    return expect(*out || field == "0");
  }
  LineReader& read(std::string* out) {
    if (!rest_.starts_with('"')) {
      *out = next();
      return expect(out->find('"') == std::string::npos);
    }
    size_t at = 1;
    for (; at < rest_.size(); ++at) {
      if (rest_[at] == '"' && (at + 1 == rest_.size() || rest_[at + 1] != '"')) break;
      if (rest_[at] == '"') ++at;
      out->push_back(rest_[at]);
    }
    expect(at < rest_.size());
    rest_.remove_prefix(std::min(at + 1, rest_.size()));
    return expect(next().empty());
  }
  bool done() const { return ok_ && ended_; }

 private:
  // Up to the next comma, which goes too.
  std::string_view next() {
    expect(!ended_);
    const size_t comma = rest_.find(',');
    const std::string_view field = rest_.substr(0, comma);
    ended_ = comma == std::string_view::npos;
    rest_.remove_prefix(ended_ ? rest_.size() : comma + 1);
    return field;
  }

  template <class T>
  static bool whole(std::string_view field, T* out) {
    const char* const last = field.data() + field.size();
    const auto [end, error] = std::from_chars(field.data(), last, *out);
    return error == std::errc() && end == last && !field.empty();
  }

  LineReader& expect(bool good) {
    ok_ = ok_ && good;
    return *this;
  }

  std::string_view rest_;
  bool ok_ = true, ended_ = false;
};

std::string name_field(std::string name) {
  for (char& c : name) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  if (name.find_first_of(",\"") == std::string::npos) return name;
  std::string quoted = "\"";
  for (const char c : name) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + '"';
}

template <>
struct Table<StepMetrics> {
  static constexpr std::string_view kFile = "metrics.csv";
  static constexpr std::string_view kHeader =
      "step,phase,tokens,step_tokens,targets,loss,learning_rate,gradient_norm,seconds,"
      "data_seconds,skipped\n";

  static bool parse(std::string_view line, StepMetrics* m) {
    LineReader in(line);
    in.read(&m->step).read(&m->phase).read(&m->tokens).read(&m->step_tokens).read(&m->targets);
    in.read(&m->loss).read(&m->learning_rate).read(&m->gradient_norm).read(&m->seconds);
    return in.read(&m->data_seconds).read(&m->skipped).done();
  }
  static std::string line(const StepMetrics& m) {
    return fmt::format("{},{},{},{},{},{},{},{},{},{},{}\n", m.step, name_field(m.phase), m.tokens,
                       m.step_tokens, m.targets, m.loss, m.learning_rate, m.gradient_norm,
                       m.seconds, m.data_seconds, m.skipped ? 1 : 0);
  }
};

template <>
struct Table<ValidationMetrics> {
  static constexpr std::string_view kFile = "validation.csv";
  static constexpr std::string_view kHeader = "step,tokens,loss,accuracy\n";

  static bool parse(std::string_view line, ValidationMetrics* m) {
    LineReader in(line);
    return in.read(&m->step).read(&m->tokens).read(&m->loss).read(&m->accuracy).done();
  }
  static std::string line(const ValidationMetrics& m) {
    return fmt::format("{},{},{},{}\n", m.step, m.tokens, m.loss, m.accuracy);
  }
};

// Calls visit(number, line with its end, row or nullptr when it is damaged) until it says false.
// Steps grow from line to line; only validations may repeat one.
template <class Row, class Visit>
Status for_each_line(const std::string& path, std::string_view text, const Visit& visit) {
  const std::string_view header = Table<Row>::kHeader;
  if (header.starts_with(text)) return {};  // the run was cut off at its first line, or before
  if (!text.starts_with(header)) {
    return Status(
        StatusCode::bad_data,
        fmt::format("{}: line 1 does not name the columns {}", path,
                    header.substr(0, header.size() - 1)),
        "the file is not ettin's, or another version's; a run goes on without it when it is moved");
  }
  text.remove_prefix(header.size());
  int64_t last = -1;
  for (int64_t number = 2; !text.empty(); ++number) {
    const size_t end = text.find('\n');
    if (end == std::string_view::npos) break;  // still being written, or cut off
    const std::string_view line = text.substr(0, end + 1);
    text.remove_prefix(end + 1);
    Row row;
    const bool repeats = std::is_same_v<Row, ValidationMetrics>;
    const bool good = Table<Row>::parse(line.substr(0, end), &row) &&
                      (row.step > last || (repeats && row.step == last));
    if (good) last = row.step;
    if (!visit(number, line, good ? &row : nullptr)) break;
  }
  return {};
}

template <class Row>
Result<std::vector<Row>> read_rows(const std::string& run_folder) {
  const std::string path = join_path(run_folder, Table<Row>::kFile);
  ETTIN_ASSIGN_OR_RETURN(const std::string text, read_file(path, kMostBytes));
  std::vector<Row> rows;
  Status damage;
  ETTIN_RETURN_IF_ERROR(
      for_each_line<Row>(path, text, [&](int64_t number, std::string_view, Row* row) {
        if (row == nullptr) {
          damage = Status(StatusCode::bad_data, fmt::format("{}: line {} is damaged", path, number),
                          "remove the line; a resumed run does so by itself");
          return false;
        }
        if (!rows.empty() && rows.back().step == row->step) rows.pop_back();
        rows.push_back(std::move(*row));
        return true;
      }));
  if (!damage.ok()) return damage;
  return rows;
}

// The file, ready for what follows step `steps`.
template <class Row>
Result<AppendFile> reopen(const std::string& run_folder, int64_t steps) {
  const std::string path = join_path(run_folder, Table<Row>::kFile);
  std::string text;
  if (file_exists(path)) {
    ETTIN_ASSIGN_OR_RETURN(text, read_file(path, kMostBytes));
  }
  std::string kept(Table<Row>::kHeader);
  int64_t damaged = 0, first_damaged = 0;
  ETTIN_RETURN_IF_ERROR(
      for_each_line<Row>(path, text, [&](int64_t number, std::string_view line, Row* row) {
        if (row == nullptr && damaged++ == 0) first_damaged = number;
        if (row != nullptr && steps > 0 && row->step <= steps) kept += line;
        return true;
      }));
  if (damaged > 0) {
    log_warning(fmt::format("{}: left out {} damaged line{}, the first is line {}", path, damaged,
                            damaged == 1 ? "" : "s", first_damaged));
  }
  if (kept != text) {
    ETTIN_RETURN_IF_ERROR(write_file_atomic(path, kept));
  }
  return AppendFile::open(path);
}

}  // namespace

struct MetricsLog::Files {
  AppendFile steps, validations;
  EventFile events;
};

MetricsLog::MetricsLog(std::unique_ptr<Files> files) : files_(std::move(files)) {}
MetricsLog::MetricsLog(MetricsLog&&) noexcept = default;
MetricsLog::~MetricsLog() = default;

Result<MetricsLog> MetricsLog::open(const std::string& run_folder, int64_t steps) {
  ETTIN_ASSIGN_OR_RETURN(AppendFile metrics, reopen<StepMetrics>(run_folder, steps));
  ETTIN_ASSIGN_OR_RETURN(AppendFile validations, reopen<ValidationMetrics>(run_folder, steps));
  // A validation before the first step has step 0, so a run without steps drops that too.
  ETTIN_ASSIGN_OR_RETURN(EventFile events,
                         EventFile::create(run_folder, steps > 0 ? steps + 1 : 0));
  return MetricsLog(std::make_unique<Files>(
      Files{std::move(metrics), std::move(validations), std::move(events)}));
}

Status MetricsLog::add(const StepMetrics& m) {
  ETTIN_RETURN_IF_ERROR(files_->steps.append(Table<StepMetrics>::line(m)));
  const std::array<Scalar, 5> scalars = {
      {{"loss", m.loss},
       {"learning_rate", m.learning_rate},
       {"gradient_norm", m.gradient_norm},
       {"tokens", static_cast<double>(m.tokens)},
       {"tokens_per_second", m.seconds > 0 ? static_cast<double>(m.step_tokens) / m.seconds : 0}}};
  // Without a duration there is no rate.
  return files_->events.add(m.step, std::span(scalars).first(m.seconds > 0 ? 5 : 4));
}

Status MetricsLog::add(const ValidationMetrics& m) {
  ETTIN_RETURN_IF_ERROR(files_->validations.append(Table<ValidationMetrics>::line(m)));
  const std::array<Scalar, 2> scalars = {
      {{"validation/loss", m.loss}, {"validation/accuracy", m.accuracy}}};
  return files_->events.add(m.step, scalars);
}

Result<std::vector<StepMetrics>> read_metrics(const std::string& run_folder) {
  return read_rows<StepMetrics>(run_folder);
}

Result<std::vector<ValidationMetrics>> read_validation(const std::string& run_folder) {
  if (!file_exists(join_path(run_folder, Table<ValidationMetrics>::kFile))) {
    return std::vector<ValidationMetrics>();
  }
  return read_rows<ValidationMetrics>(run_folder);
}

}  // namespace ettin
