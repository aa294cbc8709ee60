// How a command reads texts to train on; the same words for all that do.
#pragma once

#include <string>

#include "data/documents.h"
#include "flags.h"

namespace ettin::cli {

struct DocumentFlags {
  std::string documents = "file";
  std::string text_key = "text";

  void add_to(Flags& flags) {
    flags.choice("--documents", {"file", "blank-line", "line"},
                 "what a document of a .txt file is: all of it, what blank lines part, or a line",
                 &documents);
    flags.option("--text-key", "KEY", "where a .jsonl file's objects have their text", &text_key);
  }

  DocumentBoundary boundary() const {
    return documents == "line"         ? DocumentBoundary::line
           : documents == "blank-line" ? DocumentBoundary::blank_line
                                       : DocumentBoundary::file;
  }
};

}  // namespace ettin::cli
