// What a run fed, step by step, as a hash chain: two runs with equal chains saw the same tokens in
// the same order. Independent of the arm: the tokens are those of the data set, before masking.
//
// RUN/data_log.csv: phase,phase_step,step,epoch,first,sequences,tokens,batch_hash,chain
//   first      cursor into the data order
//   batch_hash SHA-256 over the batch: for each sequence its number (u64), its length (u32) and
//              its ids (u32), little-endian
//   chain      SHA-256 of the chain before (32 bytes, zeros at first) and batch_hash
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct FedSequence {
  int64_t index = 0;
  std::span<const int32_t> ids;
};

struct DataLogEntry {
  int64_t phase = 0, phase_step = 0, step = 0, epoch = 0, first = 0, sequences = 0, tokens = 0;
  std::string batch_hash, chain;  // hex
};

// Hex; an empty chain is that of a run without a step.
std::string hash_batch(std::span<const FedSequence> batch);
std::string extend_chain(const std::string& chain, const std::string& batch_hash);

// Appends lines; a line is whole or, after a crash, cut off by open().
class DataLog {
 public:
  // Opens RUN/data_log.csv for a run that has done `steps` steps with this chain: later lines go.
  // A log that does not lead to the chain is an error.
  static Result<DataLog> open(const std::string& run_folder, int64_t steps,
                              const std::string& chain);
  DataLog(DataLog&&) noexcept;
  ~DataLog();
  // Preconditions: the entry's step follows, and its chain. In the system's cache when it returns,
  // so it survives the end of the process.
  Status append(const DataLogEntry& entry);
  // To the disk. Called before a checkpoint is written: without it a loss of power could keep the
  // checkpoint and lose lines that lead to it.
  Status sync();

 private:
  struct File;
  explicit DataLog(std::unique_ptr<File> file);
  std::unique_ptr<File> file_;
};

// All whole lines, each checked against the chain.
Result<std::vector<DataLogEntry>> read_data_log(const std::string& run_folder);

}  // namespace ettin
