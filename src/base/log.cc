#include "base/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

namespace ettin {
namespace {

spdlog::logger& logger() {
  static const auto instance = [] {
    auto l = spdlog::stderr_color_mt("ettin");
    l->set_pattern("ettin: %^%l%$: %v");
    return l;
  }();
  return *instance;
}

}  // namespace

void log_warning(std::string_view message) { logger().warn(message); }
void log_notice(std::string_view message) { logger().info(message); }

}  // namespace ettin
