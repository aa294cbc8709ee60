// What a measurement was made on.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace ettin::cli {

// "AMD EPYC (family 25, model 17)" out of the text of /proc/cpuinfo; "unknown" when it says neither
// a name nor a part number.
std::string processor_name(std::string_view cpuinfo);
// Of this machine.
std::string processor_name();

// Of the whole machine, whatever this process may run on.
int online_cpus();

// The commit that this program was built from, "-dirty" behind it when files differed; "unknown"
// outside a repository.
std::string_view source_commit();

// Largest resident memory of this process, without what happened between pause() and resume().
class MemoryMeter {
 public:
  int64_t mib() const;
  void pause();
  // Where the system cannot forget its high-water mark, the pause counts after all.
  void resume();

 private:
  int64_t kept_ = 0;
};

}  // namespace ettin::cli
