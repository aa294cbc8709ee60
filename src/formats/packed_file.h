// Packed weights kept in a file, so that the next load maps them instead of packing them again.
//
//   0   8 bytes   "ettinpk1"
//   8   u64       fast_hash of the identity: what the weights were packed from, and how
//   16  u64       number of blobs
//   24  u64       fast_hash of the table
//   32  table     per blob: u64 offset (a multiple of 4096), u64 size, u64 fast_hash of its bytes
//
// Integers are little-endian. Such a file may be deleted at any time. It is only ever read where it
// was written: the layout of a blob is the backend's own.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/thread_pool.h"
#include "ettin/status.h"
#include "tensor/buffer.h"

namespace ettin {

class PackedFile {
 public:
  // Checks the identity and, on all threads, every blob. not_found: there is no such file, or it
  // was made from other weights; bad_data: it is damaged, which the message describes.
  static Result<PackedFile> open(const std::string& path, uint64_t identity, ThreadPool& threads);

  // In the order of write(); the mapping lives as long as any of them.
  const std::vector<std::shared_ptr<const Buffer>>& blobs() const { return blobs_; }

  // Written aside and renamed: complete or absent.
  static Status write(const std::string& path, uint64_t identity,
                      const std::vector<std::shared_ptr<const Buffer>>& blobs, ThreadPool& threads);

 private:
  std::vector<std::shared_ptr<const Buffer>> blobs_;
};

}  // namespace ettin
