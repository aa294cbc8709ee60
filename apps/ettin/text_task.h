// The frame of every command that answers texts: chunks, order, progress, notices, errors that name
// the text they are about.
#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "console.h"
#include "text_reader.h"

namespace ettin::cli {

// A line on standard error about how far a long run is; nothing for runs under half a second.
class Progress {
 public:
  explicit Progress(Console& console) : console_(console) {}
  ~Progress() { console_.draw_progress(""); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(size_t texts, std::optional<double> fraction);

 private:
  using Clock = std::chrono::steady_clock;
  Console& console_;
  Clock::time_point start_ = Clock::now();
};

// Notices about texts that were cut; after a few only their number, at the end.
class TruncationNotices {
 public:
  explicit TruncationNotices(Console& console) : console_(console) {}
  ~TruncationNotices();
  TruncationNotices(const TruncationNotices&) = delete;
  TruncationNotices& operator=(const TruncationNotices&) = delete;

  void add(const Record& record, int64_t tokens);

 private:
  Console& console_;
  size_t count_ = 0;
};

// The library counts the texts of a call; people count lines and arguments: "text 0 has 300 tokens"
// becomes "texts.jsonl line 7 has 300 tokens".
Status name_record(const Status& status, const Record& record);

// `answer` as one line, with the record's id: in front of an object's keys, or around an array as
// {"id": ..., "result": [...]}.
void write_json(Console& console, const Record& record, Json answer);

// How a command answers records. `compute` answers a span of inputs. An answer goes to the first of
// `store`, `to_json` and `show` that is set.
template <class Answer>
struct TextTask {
  std::function<Result<std::vector<Answer>>(std::span<const TextInput>)> compute;
  // Can one input be answered? Where that is cheaper to find out than to answer it.
  std::function<Status(std::span<const TextInput>)> check;
  // The tokens that a text was cut to, if it was.
  std::function<std::optional<int64_t>(const Answer&)> cut_to;
  std::function<Status(const Answer&)> store;
  std::function<Json(const Answer&)> to_json;
  std::function<void(const Record&, const Answer&)> show;  // for people; blank lines in between
};

// TextTask::cut_to of answers that count their tokens.
template <class Answer>
std::optional<int64_t> cut_to(const Answer& answer) {
  if (!answer.truncated) return std::nullopt;
  return answer.num_tokens;
}

template <class Answer>
Status give_answer(Console& console, const TextTask<Answer>& task, const Record& record,
                   const Answer& answer, bool first) {
  if (task.store) return task.store(answer);
  if (task.to_json) {
    write_json(console, record, task.to_json(answer));
  } else {
    if (!first) console.line();
    task.show(record, answer);
  }
  return {};
}

// Answers all records in order, at most `most` at once.
template <class Answer>
Status run_text_task(Console& console, const TextFlags& flags, const TextTask<Answer>& task,
                     size_t most = 256) {
  const auto check = [&](std::span<const TextInput> inputs) {
    return task.check ? task.check(inputs) : task.compute(inputs).status();
  };
  // A model or an option that does not fit is no text's fault: found before any is read.
  ETTIN_RETURN_IF_ERROR(check({}));
  ETTIN_ASSIGN_OR_RETURN(TextReader reader, TextReader::open(flags));
  Progress progress(console);
  TruncationNotices notices(console);
  for (size_t done = 0;;) {
    ETTIN_ASSIGN_OR_RETURN(const std::vector<Record> records, reader.next(most));
    if (records.empty()) return {};
    std::vector<TextInput> inputs;
    for (const Record& record : records) inputs.push_back(record.input);
    Result<std::vector<Answer>> answers = task.compute(inputs);
    Status failure = answers.status();
    if (!answers.ok()) {
      // Which text is it? Those before it are answered all the same.
      size_t good = 0;
      while (good < inputs.size() && check(std::span(inputs).subspan(good, 1)).ok()) ++good;
      if (good == inputs.size()) return failure;
      failure = name_record(check(std::span(inputs).subspan(good, 1)), records[good]);
      answers = std::vector<Answer>();
      if (good > 0) answers = task.compute(std::span(inputs).first(good));
      if (!answers.ok()) return answers.status();
    }
    for (size_t i = 0; i < answers->size(); ++i) {
      const Answer& answer = (*answers)[i];
      if (const auto tokens = task.cut_to ? task.cut_to(answer) : std::nullopt) {
        notices.add(records[i], *tokens);
      }
      ETTIN_RETURN_IF_ERROR(give_answer(console, task, records[i], answer, done + i == 0));
    }
    ETTIN_RETURN_IF_ERROR(console.flush());
    ETTIN_RETURN_IF_ERROR(failure);
    done += records.size();
    progress.show(done, reader.fraction());
  }
}

}  // namespace ettin::cli
