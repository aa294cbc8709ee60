// Help screens.
#pragma once

#include <string>
#include <string_view>

#include "command.h"
#include "console.h"

namespace ettin::cli {

// The program: what it is, its commands, exit codes, environment.
std::string program_help(const Console& console, std::string_view program);

// The commands that begin with one word.
std::string group_help(const Console& console, std::string_view program, const CommandGroup& group);

// One command: usage, description, options by group, examples.
std::string command_help(const Console& console, std::string_view program,
                         const CommandEntry& entry);

}  // namespace ettin::cli
