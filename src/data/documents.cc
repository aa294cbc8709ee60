#include "data/documents.h"

#include <algorithm>
#include <filesystem>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"

namespace ettin {
namespace {

constexpr size_t kMaxTextBytes = size_t{256} << 20;  // the tokenizer takes less than 1 GiB

bool is_jsonl(std::string_view name) {
  for (const std::string_view packed : {".gz", ".zst"}) {
    if (name.ends_with(packed)) name.remove_suffix(packed.size());
  }
  return name.ends_with(".jsonl");
}

bool is_known(std::string_view name) {
  if (is_jsonl(name)) return true;
  for (const std::string_view packed : {".gz", ".zst"}) {
    if (name.ends_with(packed)) name.remove_suffix(packed.size());
  }
  return name.ends_with(".txt");
}

bool is_hidden(std::string_view path) {
  return path.starts_with('.') || path.find("/.") != path.npos;
}

bool is_blank(std::string_view text) { return text.find_first_not_of(" \t\r\n\f\v") == text.npos; }

}  // namespace

Result<std::vector<SourceFile>> find_source_files(const std::vector<std::string>& inputs) {
  std::vector<SourceFile> files;
  for (std::string input : inputs) {
    while (input.size() > 1 && input.ends_with('/')) input.pop_back();
    const std::string name = std::filesystem::path(input).filename().string();
    if (directory_exists(input)) {
      ETTIN_ASSIGN_OR_RETURN(std::vector<std::string> paths, list_folder(input, true));
      std::sort(paths.begin(), paths.end());
      const size_t before = files.size();
      for (const std::string& path : paths) {
        std::string whole = join_path(input, path);
        if (is_hidden(path) || !is_known(path) || !file_exists(whole)) continue;
        files.push_back({std::move(whole), join_path(name, path)});
      }
      if (files.size() > before) continue;
      return Status(StatusCode::not_found,
                    fmt::format("{}: the folder holds no .txt or .jsonl file", input),
                    ".gz and .zst of them are read too");
    }
    if (!file_exists(input)) {
      return Status(StatusCode::not_found, fmt::format("{}: there is no such file", input),
                    "give .txt or .jsonl files, or folders of them");
    }
    if (!is_known(input)) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("{}: neither a .txt nor a .jsonl file", input),
                    "these are read, and .gz and .zst of them");
    }
    files.push_back({input, name});
  }
  return files;
}

DocumentReader::DocumentReader(std::vector<SourceFile> files, DocumentBoundary boundary,
                               std::string text_key)
    : files_(std::move(files)), boundary_(boundary), text_key_(std::move(text_key)) {}

Result<std::string> DocumentReader::text_of_object(const std::string& line) const {
  const std::string where = fmt::format("{} line {}", files_[file_].path, stream_->lines_read());
  ETTIN_ASSIGN_OR_RETURN(
      const Json object,
      parse_json(line, where, {.max_bytes = kMaxTextBytes, .big_integers = true}));
  Result<std::string> text = json_get<std::string>(object, text_key_, where);
  if (text.ok()) return text;
  return Status(text.status().code(), text.status().message(),
                "every line is an object with its text under that key; --text-key names another");
}

// The next text of the open file, blank or not; nothing at its end.
Result<std::optional<std::string>> DocumentReader::next_text() {
  const bool objects = is_jsonl(files_[file_].path);
  if (objects || boundary_ == DocumentBoundary::line) {
    ETTIN_ASSIGN_OR_RETURN(std::optional<std::string> line, stream_->line(kMaxTextBytes));
    if (!line || !objects || is_blank(*line)) return line;
    ETTIN_ASSIGN_OR_RETURN(std::string text, text_of_object(*line));
    return std::optional<std::string>(std::move(text));
  }
  std::string text;
  bool some = false;
  for (;;) {
    ETTIN_ASSIGN_OR_RETURN(const std::optional<std::string> line, stream_->line(kMaxTextBytes));
    if (!line) break;
    if (boundary_ == DocumentBoundary::blank_line && is_blank(*line)) {
      if (some) break;
      continue;
    }
    if (some) text += '\n';
    some = true;
    if (text.size() + line->size() >= kMaxTextBytes) {
      return Status(StatusCode::resource_limit,
                    fmt::format("{}: a document of more than {} MiB", files_[file_].path,
                                kMaxTextBytes >> 20),
                    "--documents line or --documents blank-line cuts a file");
    }
    text += *line;
  }
  return some ? std::optional<std::string>(std::move(text)) : std::nullopt;
}

Result<std::optional<Document>> DocumentReader::next() {
  while (file_ < files_.size()) {
    if (!stream_) {
      ETTIN_ASSIGN_OR_RETURN(stream_, InputStream::open(files_[file_].path));
      number_ = 0;
    }
    ETTIN_ASSIGN_OR_RETURN(std::optional<std::string> text, next_text());
    if (!text) {
      stream_.reset();
      ++file_;
    } else if (!is_blank(*text)) {
      return std::optional<Document>(Document{file_, number_++, *std::move(text)});
    }
  }
  return std::optional<Document>();
}

}  // namespace ettin
