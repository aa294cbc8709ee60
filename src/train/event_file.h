// A TensorBoard event file: scalars over steps (library: protobuf).
//
// TFRecord framing, all little-endian: length of the data (u64), masked CRC32C of those 8 bytes
// (u32), the data (an Event message), its masked CRC32C (u32). The mask turns the checksum right by
// 15 bits and adds 0xa282ead8 (tensorflow/core/lib/hash/crc32c.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/append_file.h"
#include "ettin/status.h"

namespace ettin {

// CRC-32C (Castagnoli, RFC 3720 appendix B.4).
uint32_t crc32c(std::string_view bytes);

struct Scalar {
  std::string_view tag;
  double value = 0;  // stored as float
};

// Not thread-safe.
class EventFile {
 public:
  // A new file in `folder` that sorts behind those that are there: readers go through them in the
  // order of their names. It begins with SessionLog START at `first_step`, at which TensorBoard
  // drops what it has read of this step and later ones. So a resumed run needs no old file
  // rewritten, which a TensorBoard that watches the run would not notice: it keeps its place.
  static Result<EventFile> create(const std::string& folder, int64_t first_step);

  Status add(int64_t step, std::span<const Scalar> scalars);

 private:
  explicit EventFile(AppendFile file) : file_(std::move(file)) {}
  AppendFile file_;
};

}  // namespace ettin
