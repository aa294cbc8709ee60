// Splits a command line into a command's flags and arguments (library: CLI11, in parse.cc only).
#pragma once

#include <string>
#include <vector>

#include "ettin/status.h"
#include "flags.h"

namespace ettin::cli {

// Sets what `args` (without the command's name) and, for options that are not among them, the
// environment say. Errors name the option and what was wrong with it.
Status parse_flags(const std::vector<std::string>& args, const Flags& flags);

// Is `option` among the options of `args`? What follows "--" is text.
bool has_option(const std::vector<std::string>& args, std::string_view option);

}  // namespace ettin::cli
