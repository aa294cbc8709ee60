// A command of the program: what it says about itself, what it can be told, what it does.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "console.h"
#include "ettin/status.h"
#include "flags.h"

namespace ettin::cli {

struct CommandHelp {
  std::string usage;                  // what follows the name: "[OPTIONS] TEXT..."
  std::string description;            // a paragraph
  std::vector<std::string> examples;  // whole command lines; "ettin" is shown as it was called
};

class Command {
 public:
  virtual ~Command() = default;

  virtual CommandHelp help() const = 0;
  virtual void add_flags(Flags& flags) = 0;
  // Called once, after the flags are set. Standard output is flushed by the caller.
  virtual Status run(Console& console) = 0;

  bool json = false;  // every command has --json
  // The answer of a command that compares is no: no error, but exit code 1.
  bool differs = false;
  std::string program = "ettin";  // how the program was called, for text that names commands
};

struct CommandEntry {
  std::string_view name;
  std::string_view summary;
  std::unique_ptr<Command> (*make)();
  // Its exit code 1 is an answer, as in diff and grep: errors that end others with 1 end it with 2.
  bool answers = false;
};

// All commands, in the order of the help.
std::span<const CommandEntry> command_table();
const CommandEntry* find_command(std::string_view name);
std::vector<std::string_view> command_names();

std::unique_ptr<Command> make_fill_mask();
std::unique_ptr<Command> make_generate();
std::unique_ptr<Command> make_embed();
std::unique_ptr<Command> make_score();
std::unique_ptr<Command> make_classify();
std::unique_ptr<Command> make_token_classify();
std::unique_ptr<Command> make_tokenize();
std::unique_ptr<Command> make_detokenize();
std::unique_ptr<Command> make_inspect();
std::unique_ptr<Command> make_quantize();
std::unique_ptr<Command> make_convert();
std::unique_ptr<Command> make_diff();
std::unique_ptr<Command> make_verify();
std::unique_ptr<Command> make_pull();
std::unique_ptr<Command> make_list();
std::unique_ptr<Command> make_remove();
std::unique_ptr<Command> make_forward();
std::unique_ptr<Command> make_bench();
std::unique_ptr<Command> make_demo();
std::unique_ptr<Command> make_version();
std::unique_ptr<Command> make_help();

}  // namespace ettin::cli
