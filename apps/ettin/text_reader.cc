#include "text_reader.h"

#include <fmt/format.h>

namespace ettin::cli {
namespace {

constexpr size_t kChunkBytes = size_t{4} << 20;  // text held at once, but for one longer record

Status bad_record(const std::string& where, const Status& why) {
  return Status(StatusCode::invalid_argument, fmt::format("{}: {}", where, why.message()),
                "each line is an object like {\"text\": \"...\"}; for plain text add --lines");
}

}  // namespace

void TextFlags::add_to(Flags& flags, TextRules rules) {
  flags.arguments(&texts);
  flags.group("input");
  flags.option("--input", "FILE",
               "JSON lines with a \"text\" field, and where wanted \"pair\" and \"id\"; - is "
               "standard input",
               &input);
  flags.toggle("--lines", "the input is plain text, one text a line", &lines);
  if (rules.pairs) {
    flags.option("--pair", "TEXT", "second text, for every text that has none of its own", &pair);
  }
  if (rules.truncation) {
    flags.toggle("--truncate", "cut texts that are too long for the model, with a notice",
                 &truncate);
  }
}

Result<TextReader> TextReader::open(const TextFlags& flags) {
  TextReader reader;
  reader.lines_ = flags.lines;
  reader.pair_ = flags.pair;
  std::string path = flags.input;
  if (flags.texts.size() == 1 && flags.texts[0] == "-" && path.empty()) {
    path = flags.texts[0];
  } else if (!flags.texts.empty()) {
    if (!path.empty()) {
      return Status(StatusCode::invalid_argument,
                    "texts are given both as arguments and by --input", "leave one of them out");
    }
    if (flags.lines) {
      return Status(StatusCode::invalid_argument, "--lines is for --input and standard input",
                    "leave it out");
    }
    reader.single_ = flags.texts.size() == 1;
    for (size_t i = 0; i < flags.texts.size(); ++i) {
      reader.arguments_.push_back(
          {{flags.texts[i], flags.pair},
           std::nullopt,
           reader.single_ ? std::string("the text") : fmt::format("text {}", i + 1)});
    }
    return reader;
  }
  if (path.empty()) {
    return Status(StatusCode::invalid_argument, "no text is given",
                  "give one in quotes, or --input FILE, or - for standard input");
  }
  ETTIN_ASSIGN_OR_RETURN(LineSource source, LineSource::open(path));
  reader.source_.emplace(std::move(source));
  return reader;
}

Result<Record> TextReader::parse(std::string line) const {
  Record record;
  record.where = source_->where();
  if (lines_) {
    record.input = {std::move(line), pair_};
    return record;
  }
  const Result<Json> parsed = parse_json(line, record.where);
  if (!parsed.ok()) {
    // parse_json() names the place itself.
    return Status(StatusCode::invalid_argument, parsed.status().message(),
                  bad_record(record.where, {}).hint());
  }
  if (!parsed->is_object()) {
    return bad_record(record.where, Status(StatusCode::bad_data, "not an object"));
  }
  const auto text = json_get<std::string>(*parsed, "text", record.where);
  const auto pair = json_find<std::string>(*parsed, "pair", record.where);
  for (const Status& status : {text.status(), pair.status()}) {
    if (!status.ok()) {
      return Status(StatusCode::invalid_argument, status.message(),
                    bad_record(record.where, {}).hint());
    }
  }
  record.input = {*text, *pair ? *pair : pair_};
  if (const Json* id = json_member(*parsed, "id")) record.id = *id;
  return record;
}

Result<TextReader> TextReader::open_file(const std::string& path) {
  TextFlags flags;
  flags.input = path;
  flags.lines = !path.ends_with(".jsonl") && !path.ends_with(".json");
  return open(flags);
}

Result<std::vector<Record>> TextReader::next(size_t most) {
  if (!failure_.ok()) return failure_;
  std::vector<Record> records;
  while (records.size() < most && !arguments_.empty()) {
    records.push_back(std::move(arguments_.front()));
    arguments_.pop_front();
  }
  if (!source_) return records;
  for (size_t bytes = 0; records.size() < most && bytes < kChunkBytes;) {
    if (!records.empty() && !source_->is_ready()) break;
    Result<std::optional<std::string>> line = source_->next();
    if (line.ok() && !*line) break;
    if (line.ok() && !lines_ && (*line)->find_first_not_of(" \t") == std::string::npos) continue;
    if (line.ok()) bytes += (*line)->size();
    Result<Record> record = line.ok() ? parse(std::move(**line)) : line.status();
    if (!record.ok()) {
      // What stands before a bad line is answered first.
      if (records.empty()) return record.status();
      failure_ = record.status();
      break;
    }
    records.push_back(std::move(*record));
  }
  return records;
}

std::optional<double> TextReader::fraction() const {
  return source_ ? source_->fraction() : std::nullopt;
}

}  // namespace ettin::cli
