#include "training_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/file.h"
#include "line_source.h"
#include "text/pretoken_counts.h"
#include "text_reader.h"

namespace ettin::cli {
namespace {

constexpr size_t kBatchBytes = size_t{16} << 20;
constexpr size_t kBatchTexts = 4096;
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

bool has_records(std::string_view path) {
  return path.ends_with(".jsonl") || path.ends_with(".json");
}

Status check_plain(const std::string& path) {
  static constexpr std::array<std::string_view, 5> kCompressed = {".gz", ".zst", ".bz2", ".xz",
                                                                  ".zip"};
  for (const std::string_view ending : kCompressed) {
    if (path.ends_with(ending)) {
      return Status(StatusCode::unsupported, path + ": is compressed", "expand it first");
    }
  }
  return {};
}

}  // namespace

Result<std::vector<std::string>> training_files(const std::vector<std::string>& paths) {
  std::vector<std::string> files;
  for (const std::string& path : paths) {
    if (!directory_exists(path)) {
      if (!file_exists(path)) {
        return Status(StatusCode::not_found, path + ": no such file or folder",
                      "give files of text, or folders that hold .txt or .jsonl files");
      }
      ETTIN_RETURN_IF_ERROR(check_plain(path));
      files.push_back(path);
      continue;
    }
    ETTIN_ASSIGN_OR_RETURN(std::vector<std::string> names, list_folder(path, true));
    std::sort(names.begin(), names.end());
    const size_t before = files.size();
    for (const std::string& name : names) {
      const std::string file = join_path(path, name);
      if ((name.ends_with(".txt") || name.ends_with(".jsonl")) && file_exists(file)) {
        files.push_back(file);
      }
    }
    if (files.size() == before) {
      return Status(StatusCode::not_found, path + ": holds no .txt or .jsonl file",
                    "files with other names can be given one by one");
    }
  }
  return files;
}

Status read_training_texts(const std::string& path,
                           const std::function<void(std::span<const std::string_view>)>& use) {
  if (has_records(path)) {
    ETTIN_ASSIGN_OR_RETURN(TextReader reader, TextReader::open_file(path));
    for (;;) {
      ETTIN_ASSIGN_OR_RETURN(const std::vector<Record> records, reader.next(kBatchTexts));
      if (records.empty()) return {};
      std::vector<std::string_view> texts;
      for (const Record& record : records) texts.push_back(record.input.text);
      use(texts);
    }
  }
  ETTIN_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  while (!text.empty()) {
    const size_t length =
        text.size() > kBatchBytes ? next_text_cut(text, kBatchBytes) : text.size();
    const std::string_view part = text.substr(0, length);
    use(std::span(&part, 1));
    release_pages(std::as_bytes(std::span(part)));
    text.remove_prefix(length);
  }
  return {};
}

}  // namespace ettin::cli
