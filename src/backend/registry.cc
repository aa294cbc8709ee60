#include <fmt/format.h>

#include "backend/backend.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/ref/ref_backend.h"

namespace ettin {
namespace {

struct Entry {
  std::string_view name;
  std::vector<WeightFormat> formats;
  Result<std::shared_ptr<const Backend>> (*make)(const BackendOptions& options);
};

const std::vector<Entry>& entries() {
  using enum WeightFormat;
  static const std::vector<Entry> all = {
      {"cpu", {f32, bf16, q8, q4, int8, weight_only}, make_cpu_backend},
      {"ref",
       {f64, f32, bf16, q8, q4, int8, weight_only},
       [](const BackendOptions& o) -> Result<std::shared_ptr<const Backend>> {
         return make_ref_backend(o.format == f64 ? Dtype::f64 : Dtype::f32, o.format,
                                 o.exact_activations, o.threads, o.int8_one_scale);
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
    std::string formats;
    for (const WeightFormat f : entry.formats) {
      if (f == options.format) return entry.make(options);
      if (f > WeightFormat::q4) continue;  // nobody can ask for it
      formats += fmt::format("{}{}", formats.empty() ? "" : ", ", format_name(f));
    }
    return Status(StatusCode::invalid_argument,
                  fmt::format("the {} backend does not compute in {}", entry.name,
                              format_name(options.format)),
                  fmt::format("it computes in: {}", formats));
  }
  return Status(StatusCode::invalid_argument,
                fmt::format("there is no backend named '{}'", options.name),
                fmt::format("the backends are: {}", names));
}

}  // namespace ettin
