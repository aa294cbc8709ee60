#include "machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

namespace ettin::cli {
namespace {

// The value of the first line "key : value"; empty when there is none.
std::string_view cpuinfo_value(std::string_view text, std::string_view key) {
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view line = text.substr(at, end - at);
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos) {
      const std::string_view name = line.substr(0, colon);
      if (name.substr(0, name.find_last_not_of(" \t") + 1) == key) {
        const std::string_view value = line.substr(colon + 1);
        const size_t first = value.find_first_not_of(' ');
        return first == std::string_view::npos ? std::string_view() : value.substr(first);
      }
    }
    at = end + 1;
  }
  return {};
}

// Files of /proc have no size: read until the end.
std::string read_proc(const char* path) {
  std::string text;
  const int file = ::open(path, O_RDONLY | O_CLOEXEC);
  if (file < 0) return text;
  constexpr size_t kMost = 64 << 10;  // the first processor is enough
  char piece[4096];
  for (ssize_t n = 0; text.size() < kMost && (n = ::read(file, piece, sizeof(piece))) > 0;) {
    text.append(piece, static_cast<size_t>(n));
  }
  ::close(file);
  return text;
}

int64_t resident_mib() {
  rusage usage = {};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss / 1024;
}

}  // namespace

std::string processor_name(std::string_view cpuinfo) {
  const std::string_view name = cpuinfo_value(cpuinfo, "model name");
  const std::string_view family = cpuinfo_value(cpuinfo, "cpu family");
  const std::string_view model = cpuinfo_value(cpuinfo, "model");
  const std::string_view implementer = cpuinfo_value(cpuinfo, "CPU implementer");
  const std::string_view part = cpuinfo_value(cpuinfo, "CPU part");
  if (!family.empty() && !model.empty()) {
    return fmt::format("{} (family {}, model {})", name.empty() ? "x86" : name, family, model);
  }
  if (!part.empty()) return fmt::format("ARM {} {}", implementer, part);
  return name.empty() ? "unknown" : std::string(name);
}

std::string processor_name() { return processor_name(read_proc("/proc/cpuinfo")); }

int online_cpus() { return static_cast<int>(std::max(1L, ::sysconf(_SC_NPROCESSORS_ONLN))); }

int64_t MemoryMeter::mib() const { return std::max(kept_, resident_mib()); }

void MemoryMeter::pause() { kept_ = mib(); }

void MemoryMeter::resume() {
  const int file = ::open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC);
  if (file < 0) return;
  // "5" sets the high-water mark back to what is resident now: proc(5).
  [[maybe_unused]] const ssize_t written = ::write(file, "5", 1);
  ::close(file);
}

}  // namespace ettin::cli
