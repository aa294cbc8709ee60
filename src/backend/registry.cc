#include <fmt/format.h>

#include "backend/backend.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/ref/ref_backend.h"

namespace ettin {
namespace {

struct Entry {
  std::string_view name;
  std::vector<Dtype> dtypes;
  Result<std::shared_ptr<const Backend>> (*make)(const BackendOptions& options);
};

const std::vector<Entry>& entries() {
  static const std::vector<Entry> all = {
      {"cpu", {Dtype::f32}, [](const BackendOptions& o) { return make_cpu_backend(o.threads); }},
      {"ref",
       {Dtype::f32, Dtype::f64},
       [](const BackendOptions& o) -> Result<std::shared_ptr<const Backend>> {
         return make_ref_backend(o.dtype, o.threads);
       }},
  };
  return all;
}

}  // namespace

Result<std::shared_ptr<const Backend>> make_backend(const BackendOptions& options) {
  constexpr int kMaxThreads = 1024;
  if (options.threads < 0 || options.threads > kMaxThreads) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{} threads asked for", options.threads),
                  fmt::format("use 0 (all CPUs of this process) to {}", kMaxThreads));
  }
  std::string names;
  for (const Entry& entry : entries()) {
    names += fmt::format("{}{}", names.empty() ? "" : ", ", entry.name);
    if (entry.name != options.name) continue;
    std::string dtypes;
    for (const Dtype d : entry.dtypes) {
      if (d == options.dtype) return entry.make(options);
      dtypes += fmt::format("{}{}", dtypes.empty() ? "" : ", ", dtype_name(d));
    }
    return Status(
        StatusCode::invalid_argument,
        fmt::format("the {} backend does not compute in {}", entry.name, dtype_name(options.dtype)),
        fmt::format("it computes in: {}", dtypes));
  }
  return Status(StatusCode::invalid_argument,
                fmt::format("there is no backend named '{}'", options.name),
                fmt::format("the backends are: {}", names));
}

}  // namespace ettin
