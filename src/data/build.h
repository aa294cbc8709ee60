// Texts to a data set: MDS shards of token ids, as training reads them.
//
// The output is a function of the inputs, the tokenizer and the options, to the byte: not of the
// number of threads, nor of how often the build was interrupted.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "data/chunk.h"
#include "data/documents.h"
#include "ettin/status.h"

namespace ettin {

struct BuildOptions {
  std::vector<std::string> inputs;  // files and folders
  std::string out;                  // a folder that is new, empty or an unfinished build
  std::string tokenizer;            // a folder with tokenizer.json
  DocumentBoundary boundary = DocumentBoundary::file;
  std::string text_key = "text";
  ChunkOptions chunk;  // first and last are taken from the tokenizer
  int64_t min_tokens = 1;
  bool keep_duplicates = false;
  bool add_prefix_space = false;  // a space before a text that does not begin with one
  std::optional<std::string> compression;
  std::vector<std::string> hashes;
  uint64_t size_limit = uint64_t{1} << 26;
  double holdout = 0;  // share of the documents that goes to OUT/validation; 0: all to OUT
  bool force = false;  // remove what an earlier build left
  int threads = 0;
  // Called after each batch and each finished shard with documents read and chunks written.
  std::function<void(uint64_t, uint64_t)> on_progress = {};
};

struct BuildReport {
  Json stats;  // what stats.json holds
  bool resumed = false;
};

// Writes shards, index.json and stats.json. With a holdout, OUT/train and OUT/validation are the
// data sets. Duplicates are texts that are equal but for runs of whitespace; of each, the first one
// counts. Memory: a shard of each set, a batch of documents, and about 40 bytes per document.
// Two builds into one folder at the same time are not prevented.
Result<BuildReport> build_dataset(const BuildOptions& options);

}  // namespace ettin
