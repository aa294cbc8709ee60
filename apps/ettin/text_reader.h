// The texts of a command: its arguments, or records of a file or of standard input, in chunks.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "ettin/tasks.h"
#include "flags.h"
#include "line_source.h"

namespace ettin::cli {

// One text, or pair, with what is needed to answer and to complain.
struct Record {
  TextInput input;
  std::optional<Json> id;  // passed through to the answer
  std::string where;       // "the text", "text 2", "texts.jsonl line 7"
};

// What a command can do with its texts.
struct TextRules {
  bool pairs = false;
  bool truncation = true;
};

struct TextFlags {
  std::vector<std::string> texts;
  std::string input;
  bool lines = false;
  std::optional<std::string> pair;
  bool truncate = false;

  void add_to(Flags& flags, TextRules rules);

  OverLength over_length() const { return truncate ? OverLength::truncate : OverLength::error; }
};

// Not thread-safe.
class TextReader {
 public:
  static Result<TextReader> open(const TextFlags& flags);
  // One text a line, or the records of a .jsonl or .json file.
  static Result<TextReader> open_file(const std::string& path);

  // At most `most` further records, empty at the end; fewer rather than wait for a slow writer.
  Result<std::vector<Record>> next(size_t most);

  bool is_single() const { return single_; }  // exactly one text, given as an argument
  std::optional<double> fraction() const;

 private:
  Result<Record> parse(std::string line) const;

  bool lines_ = false;
  bool single_ = false;
  std::optional<std::string> pair_;
  std::deque<Record> arguments_;
  std::optional<LineSource> source_;
  Status failure_;  // of a record after those that were handed out
};

}  // namespace ettin::cli
