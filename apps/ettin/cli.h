// From the words of a command line to an exit code.
#pragma once

#include <string>
#include <vector>

#include "console.h"
#include "ettin/status.h"

namespace ettin::cli {

// 0 ok, 1 failed while running, 2 wrong usage, 3 model or file not found, 4 network or permission,
// 5 bad model data.
int exit_code(StatusCode code);

// Runs what `args` (without the program's name) ask for. `program` is how it was called.
int run_program(const std::vector<std::string>& args, const std::string& program, Console& console);

// Is an error to be written as JSON? Known before anything was parsed.
bool wants_json(const std::vector<std::string>& args);

}  // namespace ettin::cli
