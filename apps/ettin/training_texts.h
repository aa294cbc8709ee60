// The texts of files to train a tokenizer on: a .jsonl or .json file has one in the "text" field of
// every line, any other file is one text as it stands.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin::cli {

// Files as they were given; of a folder those below it that end in .txt or .jsonl, sorted.
// not_found where nothing has the name or a folder has none of them; unsupported for a compressed
// file.
Result<std::vector<std::string>> training_files(const std::vector<std::string>& paths);

// Calls `use` with the texts of one file, about 16 MB at a time; a long text is handed over in
// several parts that share no pre-token. The views last until `use` returns.
Status read_training_texts(const std::string& path,
                           const std::function<void(std::span<const std::string_view>)>& use);

}  // namespace ettin::cli
