#include "train/data_log.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <filesystem>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include <fmt/format.h>

#include "base/append_file.h"
#include "base/check.h"
#include "base/file.h"
#include "base/hash.h"
#include "train/hex.h"

namespace ettin {
namespace {

constexpr const char* kName = "data_log.csv";
constexpr std::string_view kHeader =
    "phase,phase_step,step,epoch,first,sequences,tokens,batch_hash,chain\n";

constexpr std::array<std::pair<std::string_view, int64_t DataLogEntry::*>, 7> kNumbers{{
    {"phase", &DataLogEntry::phase},
    {"phase_step", &DataLogEntry::phase_step},
    {"step", &DataLogEntry::step},
    {"epoch", &DataLogEntry::epoch},
    {"first", &DataLogEntry::first},
    {"sequences", &DataLogEntry::sequences},
    {"tokens", &DataLogEntry::tokens},
}};

void add_number(Digest* digest, uint64_t value, size_t bytes) {
  std::array<std::byte, 8> text = {};
  for (size_t i = 0; i < bytes; ++i) text[i] = static_cast<std::byte>(value >> (8 * i));
  digest->add(std::span(text).first(bytes));
}

// Of 64 hexadecimal digits; zeros of an empty text.
std::array<std::byte, 32> bytes_of(std::string_view hex) {
  ETTIN_CHECK(hex.empty() || is_sha256_hex(hex));
  std::array<std::byte, 32> bytes = {};
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  for (size_t i = 0; i < hex.size() / 2; ++i) {
    bytes[i] = static_cast<std::byte>(digit(hex[2 * i]) * 16 + digit(hex[2 * i + 1]));
  }
  return bytes;
}

std::string to_line(const DataLogEntry& entry) {
  std::string line;
  for (const auto& [name, member] : kNumbers) line += fmt::format("{},", entry.*member);
  return line + entry.batch_hash + "," + entry.chain + "\n";
}

// Lines of a log, checked: each is step 1, 2, 3 ... and leads from the chain before it.
class Reader {
 public:
  Reader(std::string_view text, std::string_view path) : rest_(text), path_(path) {}

  Status read_header() {
    const auto line = take_line();
    if (line && *line == kHeader.substr(0, kHeader.size() - 1)) return {};
    return Status(
        StatusCode::bad_data, fmt::format("{}: not a data log of ettin", path_),
        fmt::format("its first line should be {}", kHeader.substr(0, kHeader.size() - 1)));
  }

  // nullopt: at the end, or at a line that is not whole.
  Result<std::optional<DataLogEntry>> next() {
    const auto line = take_line();
    if (!line) return std::optional<DataLogEntry>();
    ++step_;
    DataLogEntry entry;
    std::string_view rest = *line;
    const auto field = [&] {
      const size_t comma = std::min(rest.find(','), rest.size());
      const std::string_view text = rest.substr(0, comma);
      rest.remove_prefix(std::min(comma + 1, rest.size()));
      return text;
    };
    for (const auto& [name, member] : kNumbers) {
      const std::string_view text = field();
      const auto parsed = std::from_chars(text.data(), text.data() + text.size(), entry.*member);
      if (parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
          entry.*member < 0) {
        return bad(fmt::format("{} is \"{:.40}\"", name, text));
      }
    }
    if (entry.step != step_) {
      return bad(fmt::format("step {} where {} should follow", entry.step, step_));
    }
    entry.batch_hash = field();
    entry.chain = field();
    if (!rest.empty() || !is_sha256_hex(entry.batch_hash) || !is_sha256_hex(entry.chain)) {
      return bad("its two hashes are not SHA-256 in hexadecimal digits");
    }
    if (extend_chain(chain_, entry.batch_hash) != entry.chain) {
      return bad("its chain does not follow from the line before");
    }
    chain_ = entry.chain;
    return std::optional(std::move(entry));
  }

  size_t left() const { return rest_.size(); }

 private:
  std::optional<std::string_view> take_line() {
    const size_t end = rest_.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view line = rest_.substr(0, end);
    rest_.remove_prefix(end + 1);
    return line;
  }

  Status bad(std::string_view why) const {
    return Status(StatusCode::bad_data, fmt::format("{}: line {}: {}", path_, step_ + 1, why),
                  "the log was changed or damaged: restore it from a copy");
  }

  std::string_view rest_, path_;
  int64_t step_ = 0;
  std::string chain_;
};

std::string_view text_of(const MappedFile& file) {
  return {reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()};
}

// Bytes of the header and the first `steps` lines, which must end in `chain`.
Result<size_t> length_at(const std::string& path, int64_t steps, const std::string& chain) {
  ETTIN_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const std::string_view text = text_of(file);
  if (steps == 0 && text.find('\n') == std::string_view::npos) return 0;  // of no use yet
  Reader reader(text, path);
  ETTIN_RETURN_IF_ERROR(reader.read_header());
  std::string reached;
  for (int64_t step = 1; step <= steps; ++step) {
    ETTIN_ASSIGN_OR_RETURN(const auto entry, reader.next());
    if (!entry) {
      return Status(
          StatusCode::bad_data,
          fmt::format("{}: ends after step {}, but the run has done {}", path, step - 1, steps),
          "restore the log from a copy, or resume from an older checkpoint");
    }
    reached = entry->chain;
  }
  const bool none = steps == 0 && chain.find_first_not_of('0') == std::string::npos;
  if (reached != chain && !none) {
    return Status(
        StatusCode::bad_data,
        fmt::format("{}: the chain at step {} is {:.12}, but the checkpoint says {:.12}", path,
                    steps, reached.empty() ? "empty" : reached, chain.empty() ? "empty" : chain),
        "the log or the checkpoint belongs to another run: bring back the run's own");
  }
  return text.size() - reader.left();
}

}  // namespace

std::string hash_batch(std::span<const FedSequence> batch) {
  Digest digest(Digest::Kind::sha256);
  for (const FedSequence& sequence : batch) {
    add_number(&digest, static_cast<uint64_t>(sequence.index), 8);
    add_number(&digest, sequence.ids.size(), 4);
    digest.add(std::as_bytes(sequence.ids));  // little-endian, as every machine ettin runs on
  }
  return digest.hex();
}

std::string extend_chain(const std::string& chain, const std::string& batch_hash) {
  Digest digest(Digest::Kind::sha256);
  digest.add(bytes_of(chain));
  digest.add(bytes_of(batch_hash));
  return digest.hex();
}

struct DataLog::File {
  AppendFile file;
  int64_t steps = 0;
  std::string chain;
};

DataLog::DataLog(std::unique_ptr<File> file) : file_(std::move(file)) {}
DataLog::DataLog(DataLog&&) noexcept = default;
DataLog::~DataLog() = default;

Result<DataLog> DataLog::open(const std::string& run_folder, int64_t steps,
                              const std::string& chain) {
  const std::string path = join_path(run_folder, kName);
  size_t length = 0;
  if (file_exists(path)) {
    ETTIN_ASSIGN_OR_RETURN(length, length_at(path, steps, chain));
    std::error_code error;
    std::filesystem::resize_file(path, length, error);
    if (error) {
      return Status(StatusCode::io_error,
                    fmt::format("{}: cannot cut off what came after step {}: {}", path, steps,
                                error.message()));
    }
  } else if (steps > 0) {
    return Status(StatusCode::not_found,
                  fmt::format("{}: no such file, but the run has done {} steps", path, steps),
                  "restore the log from a copy: without it nothing shows what the run was fed");
  }
  ETTIN_ASSIGN_OR_RETURN(AppendFile file, AppendFile::open(path));
  if (length == 0) ETTIN_RETURN_IF_ERROR(file.append(kHeader));
  ETTIN_RETURN_IF_ERROR(file.sync());
  ETTIN_RETURN_IF_ERROR(sync_folder(run_folder));
  return DataLog(std::make_unique<File>(File{std::move(file), steps, chain}));
}

Status DataLog::append(const DataLogEntry& entry) {
  ETTIN_CHECK(entry.step == file_->steps + 1);
  ETTIN_CHECK(entry.chain == extend_chain(file_->chain, entry.batch_hash));
  if (const Status status = file_->file.append(to_line(entry)); !status.ok()) {
    return Status(status.code(), status.message(), "make room there, then resume the run");
  }
  file_->steps = entry.step;
  file_->chain = entry.chain;
  return {};
}

Status DataLog::sync() { return file_->file.sync(); }

Result<std::vector<DataLogEntry>> read_data_log(const std::string& run_folder) {
  const std::string path = join_path(run_folder, kName);
  if (!file_exists(path)) {
    return Status(StatusCode::not_found, fmt::format("{}: no such file", path),
                  "give the folder of a training run");
  }
  ETTIN_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  Reader reader(text_of(file), path);
  ETTIN_RETURN_IF_ERROR(reader.read_header());
  std::vector<DataLogEntry> entries;
  for (;;) {
    ETTIN_ASSIGN_OR_RETURN(auto entry, reader.next());
    if (!entry) return entries;
    entries.push_back(*std::move(entry));
  }
}

}  // namespace ettin
