// Texts to train on, document by document, from .txt and .jsonl files, plain or compressed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/compress.h"
#include "ettin/status.h"

namespace ettin {

// What a document of a .txt file is.
enum class DocumentBoundary : uint8_t { file, blank_line, line };

struct SourceFile {
  std::string path;
  std::string name;  // for people and ids: "wiki/part-0.jsonl" of the folder .../wiki
};

// The files that `inputs` name, folders with all they hold, in a fixed order: that of the inputs,
// then by name. Other kinds of files and names that begin with a dot are passed over in folders,
// and an error where they are named.
Result<std::vector<SourceFile>> find_source_files(const std::vector<std::string>& inputs);

struct Document {
  size_t source = 0;    // of the files
  uint64_t number = 0;  // in its file, from 0
  std::string text;     // not empty; may be no UTF-8
};

// Not thread-safe.
class DocumentReader {
 public:
  // `text_key`: the key of a .jsonl file's objects that holds the text.
  DocumentReader(std::vector<SourceFile> files, DocumentBoundary boundary, std::string text_key);

  // The next document, nothing at the end. Errors name file and line.
  Result<std::optional<Document>> next();

 private:
  Result<std::optional<std::string>> next_text();
  Result<std::string> text_of_object(const std::string& line) const;

  std::vector<SourceFile> files_;
  DocumentBoundary boundary_;
  std::string text_key_;
  size_t file_ = 0;
  uint64_t number_ = 0;
  std::optional<InputStream> stream_;
};

}  // namespace ettin
