#include "cli.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "command.h"
#include "help.h"
#include "parse.h"

namespace ettin::cli {
namespace {

// The exit code of a run that did what it was asked.
Result<int> run_command(const CommandEntry& entry, const std::vector<std::string>& args,
                        const std::string& program, Console& console) {
  if (has_option(args, "--help") || has_option(args, "-h")) {
    console.write(command_help(console, program, entry));
    return 0;
  }
  const std::unique_ptr<Command> command = entry.make();
  command->program = program;
  Flags flags;
  command->add_flags(flags);
  ETTIN_RETURN_IF_ERROR(parse_flags(args, flags));
  ETTIN_RETURN_IF_ERROR(command->run(console));
  return command->differs ? 1 : 0;
}

Result<int> dispatch(const std::vector<std::string>& args, const std::string& program,
                     Console& console) {
  if (args.empty()) return run_command(*find_command("demo"), args, program, console);
  const std::string& word = args[0];
  const std::vector<std::string> rest(args.begin() + 1, args.end());
  if (word == "--help" || word == "-h") {
    return run_command(*find_command("help"), rest, program, console);
  }
  if (word == "--version" || word == "-V") {
    return run_command(*find_command("version"), rest, program, console);
  }
  if (!word.starts_with('-') || word == "-") {
    const CommandGroup* group = find_group(word);
    if (group != nullptr && !rest.empty() && (rest[0] == "--help" || rest[0] == "-h")) {
      console.write(group_help(console, program, *group));
      return 0;
    }
    ETTIN_ASSIGN_OR_RETURN(const NamedCommand command, name_command(args, program));
    const auto after = args.begin() + static_cast<std::ptrdiff_t>(command.words);
    return run_command(*command.entry, {after, args.end()}, program, console);
  }
  // Options alone are the demo's.
  const auto later = std::find_if(rest.begin(), rest.end(), [](const std::string& arg) {
    return find_command(arg) != nullptr || find_group(arg) != nullptr;
  });
  if (later == rest.end()) return run_command(*find_command("demo"), args, program, console);
  return Status(StatusCode::invalid_argument, fmt::format("{:.60} comes before the command", word),
                fmt::format("options follow the command: {} {} {:.60} ...", program, *later, word));
}

}  // namespace

int exit_code(StatusCode code) {
  switch (code) {
    case StatusCode::ok:
      return 0;
    case StatusCode::invalid_argument:
      return 2;
    case StatusCode::not_found:
      return 3;
    case StatusCode::network_error:
      return 4;
    case StatusCode::bad_data:
      return 5;
    case StatusCode::io_error:
    case StatusCode::unsupported:
    case StatusCode::too_long:
    case StatusCode::resource_limit:
    case StatusCode::internal:
      return 1;
  }
  return 1;
}

bool wants_json(const std::vector<std::string>& args) {
  if (has_option(args, "--json")) return !has_option(args, "--json=false");
  const char* variable = std::getenv("ETTIN_JSON");
  if (variable == nullptr) return false;
  const std::string_view value(variable);
  return !value.empty() && value != "0" && value != "false" && value != "off" && value != "no";
}

int run_program(const std::vector<std::string>& args, const std::string& program,
                Console& console) {
  const Result<int> answer = dispatch(args, program, console);
  Status status = answer.status();
  // What was written before a failure is still an answer.
  const Status flushed = console.flush();
  if (status.ok()) status = flushed;
  if (!status.ok()) console.error(status, wants_json(args));
  if (status.ok()) return *answer;
  const Result<NamedCommand> command = name_command(args, program);
  const int code = exit_code(status.code());
  return code == 1 && command.ok() && command->entry->answers ? 2 : code;
}

}  // namespace ettin::cli
