// A training set as a list of token sequences: one or more folders of MDS shards, each repeated or
// thinned out by its weight.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct DatasetPart {
  std::string path;   // a folder with index.json
  double weight = 1;  // w: floor(w) whole copies and, of the rest, a fixed pseudo-random selection
};

// What a sequence must begin and end with: the loader's repair puts them there where they are
// missing (training.md 2.2, quirk included). -1: leave as it is.
struct SequenceEnds {
  int32_t first = -1;  // [CLS]
  int32_t last = -1;   // [SEP]
};

// Thread safety: const methods may run concurrently.
class TokenDataset {
 public:
  // Opens every shard index, maps the shards, checks each length and offset. An id of `vocab_size`
  // or more is found when its sequence is read.
  static Result<TokenDataset> open(std::span<const DatasetPart> parts, SequenceEnds ends,
                                   int64_t vocab_size);

  TokenDataset(TokenDataset&&) noexcept;
  TokenDataset& operator=(TokenDataset&&) noexcept;
  ~TokenDataset();

  int64_t size() const;  // sequences of an epoch, copies included

  // Tokens of sequence `index` in [0, size()), repaired and cut to max_length.
  Result<std::vector<int32_t>> sequence(int64_t index, int64_t max_length) const;
  // Where it comes from, for people: "FOLDER/shard.00003.mds sample 17, id".
  std::string origin(int64_t index) const;

  // A hash of names, sizes and sample counts of all shards and of the weights: two runs on equal
  // data have equal identities. Hex.
  const std::string& identity() const;

 private:
  struct Parts;
  explicit TokenDataset(std::unique_ptr<Parts> parts);
  std::unique_ptr<Parts> parts_;
};

}  // namespace ettin
