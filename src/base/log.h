// Warnings and notices for people, on standard error (library: spdlog). Results never go here.
#pragma once

#include <string_view>

namespace ettin {

void log_warning(std::string_view message);
void log_notice(std::string_view message);

}  // namespace ettin
