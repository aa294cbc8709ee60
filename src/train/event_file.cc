#include "train/event_file.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <vector>

#include <fmt/format.h>

#include "base/check.h"
#include "base/file.h"
#include "train/event.pb.h"

namespace ettin {
namespace {

constexpr std::string_view kPrefix = "events.out.tfevents.";

double now_seconds() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

void put_little_endian(uint64_t value, int bytes, std::string* out) {
  for (int i = 0; i < bytes; ++i) out->push_back(static_cast<char>(value >> (8 * i)));
}

uint32_t masked_crc(std::string_view bytes) {
  const uint32_t crc = crc32c(bytes);
  return ((crc >> 15) | (crc << 17)) + 0xa282ead8U;
}

std::string framed(const tensorboard::Event& event) {
  std::string data;
  ETTIN_CHECK(event.SerializeToString(&data));
  std::string record;
  record.reserve(data.size() + 16);
  put_little_endian(data.size(), 8, &record);
  put_little_endian(masked_crc(record), 4, &record);
  record += data;
  put_little_endian(masked_crc(data), 4, &record);
  return record;
}

// The seconds in the name of an event file.
std::optional<int64_t> seconds_of(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  name.remove_prefix(kPrefix.size());
  int64_t seconds = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), seconds);
  if (error != std::errc()) return std::nullopt;
  return seconds;
}

}  // namespace

uint32_t crc32c(std::string_view bytes) {
  static constexpr auto kTable = [] {
    std::array<uint32_t, 256> table = {};
    for (uint32_t i = 0; i < 256; ++i) {
      uint32_t crc = i;
      for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78U : 0U);
      table[i] = crc;
    }
    return table;
  }();
  uint32_t crc = ~0U;
  for (const char c : bytes) crc = kTable[(crc ^ static_cast<uint8_t>(c)) & 0xff] ^ (crc >> 8);
  return ~crc;
}

Result<EventFile> EventFile::create(const std::string& folder, int64_t first_step) {
  ETTIN_ASSIGN_OR_RETURN(const std::vector<std::string> names, list_folder(folder, false));
  // Ten digits until the year 2286, so that the order of names is that of numbers.
  constexpr int64_t kMost = 9'999'999'998;
  auto seconds = static_cast<int64_t>(now_seconds());
  for (const std::string& name : names) {
    // A clock that was set back, or two files in one second.
    if (const auto other = seconds_of(name); other && *other < kMost) {
      seconds = std::max(seconds, *other + 1);
    }
  }
  const std::string path = join_path(folder, fmt::format("{}{:010}.ettin", kPrefix, seconds));
  ETTIN_ASSIGN_OR_RETURN(AppendFile file, AppendFile::open(path));
  tensorboard::Event version;
  version.set_wall_time(now_seconds());
  version.set_file_version("brain.Event:2");
  tensorboard::Event start;
  start.set_wall_time(now_seconds());
  start.set_step(first_step);
  start.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  ETTIN_RETURN_IF_ERROR(file.append(framed(version) + framed(start)));
  return EventFile(std::move(file));
}

Status EventFile::add(int64_t step, std::span<const Scalar> scalars) {
  tensorboard::Event event;
  event.set_wall_time(now_seconds());
  event.set_step(step);
  for (const Scalar& scalar : scalars) {
    tensorboard::Summary::Value* value = event.mutable_summary()->add_value();
    value->set_tag(std::string(scalar.tag));
    value->set_simple_value(static_cast<float>(scalar.value));
  }
  return file_.append(framed(event));
}

}  // namespace ettin
