#include "data/token_dataset.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include <fmt/format.h>

#include "base/check.h"
#include "base/hash.h"
#include "base/rng.h"
#include "data/token_column.h"
#include "formats/mds_shard.h"

namespace ettin {
namespace {

// Whoever has more in compressed shards decompresses them beside: raw files are mapped.
constexpr uint64_t kMaxBytesInMemory = uint64_t{8} << 30;
constexpr int64_t kMaxSequences = int64_t{1} << 32;  // data_order.h
constexpr uint64_t kSelectionSeed = 0x657474696e;    // any fixed number

struct Shard {
  MdsShard file;
  MdsShardInfo info;
  size_t ids;            // the column of token ids
  int64_t first_sample;  // of its folder
};

// The fixed selection of `wanted` of `n` samples, in order: each is taken with the probability that
// leaves exactly `wanted` at the end (Knuth, TAOCP 2, 3.4.2, algorithm S).
std::vector<uint32_t> select(int64_t n, int64_t wanted, uint64_t stream) {
  std::vector<uint32_t> selected;
  for (int64_t i = 0; i < n; ++i) {
    const int64_t missing = wanted - static_cast<int64_t>(selected.size());
    if (random_uniform(kSelectionSeed, stream, static_cast<uint64_t>(i)) *
            static_cast<double>(n - i) <
        static_cast<double>(missing)) {
      selected.push_back(static_cast<uint32_t>(i));
    }
  }
  return selected;
}

// Folder of a data set with its copies.
struct Part {
  std::string path;
  std::vector<Shard> shards;
  int64_t samples = 0;
  int64_t copies = 0;              // whole ones
  std::vector<uint32_t> selected;  // of one more copy
  int64_t first_sequence = 0;      // of the data set

  int64_t sequences() const { return copies * samples + static_cast<int64_t>(selected.size()); }
};

// What the version of the loader that trained does (training.md 2.2): it looks whether the last
// token occurs, not whether it is last, so a sequence that ends in it loses it when it is cut.
void repair(const SequenceEnds& ends, size_t max_length, std::vector<int32_t>* ids) {
  const auto cut = [&](size_t length) {
    if (ids->size() > length) ids->resize(length);
  };
  if (ends.first >= 0 && (ids->empty() || ids->front() != ends.first)) {
    ids->insert(ids->begin(), ends.first);
    cut(max_length);
  }
  if (ends.last >= 0 && std::find(ids->begin(), ids->end(), ends.last) == ids->end()) {
    cut(max_length - 1);
    ids->push_back(ends.last);
  }
  cut(max_length);
}

}  // namespace

struct TokenDataset::Parts {
  std::vector<Part> parts;
  SequenceEnds ends;
  int64_t vocab_size = 0;
  int64_t size = 0;
  std::string identity;

  struct Place {
    const Part* part;
    const Shard* shard;
    uint64_t sample;
  };
  Place find(int64_t index) const {
    ETTIN_CHECK(index >= 0 && index < size);
    const auto part =
        std::prev(std::upper_bound(parts.begin(), parts.end(), index,
                                   [](int64_t i, const Part& p) { return i < p.first_sequence; }));
    int64_t at = index - part->first_sequence;
    at = at < part->copies * part->samples
             ? at % part->samples
             : part->selected[static_cast<size_t>(at - part->copies * part->samples)];
    const auto shard =
        std::prev(std::upper_bound(part->shards.begin(), part->shards.end(), at,
                                   [](int64_t i, const Shard& s) { return i < s.first_sample; }));
    return {&*part, &*shard, static_cast<uint64_t>(at - shard->first_sample)};
  }
};

TokenDataset::TokenDataset(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
TokenDataset::TokenDataset(TokenDataset&&) noexcept = default;
TokenDataset& TokenDataset::operator=(TokenDataset&&) noexcept = default;
TokenDataset::~TokenDataset() = default;

Result<TokenDataset> TokenDataset::open(std::span<const DatasetPart> wanted, SequenceEnds ends,
                                        int64_t vocab_size) {
  auto all = std::make_unique<Parts>();
  all->ends = ends;
  all->vocab_size = vocab_size;
  Digest identity(Digest::Kind::sha256);
  const auto add_identity = [&](const std::string& text) {
    identity.add(std::as_bytes(std::span(text)));
  };
  uint64_t in_memory = 0;
  for (const DatasetPart& one : wanted) {
    if (!(one.weight >= 0 && one.weight <= 1e6)) {
      return Status(
          StatusCode::invalid_argument,
          fmt::format("{}: weight {} where 0 to 1000000 is possible", one.path, one.weight));
    }
    Part part;
    part.path = one.path;
    part.first_sequence = all->size;
    ETTIN_ASSIGN_OR_RETURN(std::vector<MdsShardInfo> index, read_mds_index(one.path));
    add_identity(fmt::format("part {}\n", one.weight));
    for (MdsShardInfo& info : index) {
      ETTIN_ASSIGN_OR_RETURN(const size_t ids, find_token_column(info, one.path));
      ETTIN_ASSIGN_OR_RETURN(MdsShard shard, MdsShard::open(one.path, info));
      add_identity(fmt::format("{} {} {}\n", info.raw.basename, info.raw.bytes, info.samples));
      for (const auto& [name, digits] : info.raw.hashes) {
        add_identity(fmt::format("{} {}\n", name, digits));
      }
      in_memory += shard.bytes_in_memory();
      if (in_memory > kMaxBytesInMemory) {
        return Status(StatusCode::resource_limit,
                      fmt::format("{}: its compressed shards hold more than {} GiB", one.path,
                                  kMaxBytesInMemory >> 30),
                      "decompress them beside, as shard.00000.mds: raw shards are read in place");
      }
      const auto samples = static_cast<int64_t>(info.samples);
      part.shards.push_back({std::move(shard), std::move(info), ids, part.samples});
      part.samples += samples;
    }
    const double whole = std::floor(one.weight);
    part.copies = static_cast<int64_t>(whole);
    const auto rest = static_cast<int64_t>(
        std::llround((one.weight - whole) * static_cast<double>(part.samples)));
    if (part.samples >= kMaxSequences ||
        static_cast<double>(part.samples) * one.weight >= static_cast<double>(kMaxSequences)) {
      return Status(StatusCode::resource_limit,
                    fmt::format("{}: more than 2^32 sequences with its weight", one.path));
    }
    if (rest > 0) part.selected = select(part.samples, rest, all->parts.size());
    all->size += part.sequences();
    // Parts that give nothing would share their first sequence with the next one.
    if (part.sequences() > 0) all->parts.push_back(std::move(part));
  }
  if (all->size >= kMaxSequences) {
    return Status(StatusCode::resource_limit, "the data has more than 2^32 sequences");
  }
  all->identity = identity.hex();
  return TokenDataset(std::move(all));
}

int64_t TokenDataset::size() const { return parts_->size; }
const std::string& TokenDataset::identity() const { return parts_->identity; }

Result<std::vector<int32_t>> TokenDataset::sequence(int64_t index, int64_t max_length) const {
  ETTIN_CHECK(max_length >= 1);
  const Parts::Place place = parts_->find(index);
  const Shard& shard = *place.shard;
  ETTIN_ASSIGN_OR_RETURN(
      std::vector<int32_t> ids,
      read_token_ids(shard.file, shard.info, shard.ids, place.sample, parts_->vocab_size));
  repair(parts_->ends, static_cast<size_t>(max_length), &ids);
  return ids;
}

std::string TokenDataset::origin(int64_t index) const {
  const Parts::Place place = parts_->find(index);
  std::string out = fmt::format("{} sample {}", place.shard->file.path(), place.sample);
  const std::string id = read_sample_id(place.shard->file, place.shard->info, place.sample);
  return id.empty() ? out : fmt::format("{}, {}", out, id);
}

}  // namespace ettin
