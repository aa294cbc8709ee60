// Which files of a repository a model is loaded from.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct WantedFiles {
  std::string dtype = "auto";  // where the weights are ONNX files, one of them is chosen by it
  bool weights = true;         // false: what turns text into ids
  bool everything = false;     // all that the repository has
};

// Of `listed`, in the order in which they may become visible: what refers to other files comes
// after them, and config.json last. `repository` is for messages.
Result<std::vector<std::string>> choose_files(std::span<const std::string> listed,
                                              const WantedFiles& wanted,
                                              std::string_view repository);

// Files whose absence is worth keeping in mind: without them a model is looked up once more.
std::span<const std::string_view> files_to_remember();

}  // namespace ettin
