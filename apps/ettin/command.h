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
  std::string_view name;  // "embed"; of a group's command both words: "data build"
  std::string_view summary;
  std::unique_ptr<Command> (*make)();
  // Its exit code 1 is an answer, as in diff and grep: errors that end others with 1 end it with 2.
  bool answers = false;
};

// The first word of commands whose names have two: "data" of "data build". To add a command to a
// group, give it a line in command_table(); a new group needs one in command_groups() too.
struct CommandGroup {
  std::string_view name;
  std::string_view summary;
};

// All commands, in the order of the help.
std::span<const CommandEntry> command_table();
std::span<const CommandGroup> command_groups();
const CommandEntry* find_command(std::string_view name);
const CommandGroup* find_group(std::string_view name);
std::vector<const CommandEntry*> commands_of(const CommandGroup& group);
std::vector<std::string_view> command_names();

// The command that `words` begin with, and of how many words its name is (1 or 2). A group alone or
// with a word that none of its commands has is an error that says what is meant or lists what is.
struct NamedCommand {
  const CommandEntry* entry;
  size_t words;
};
Result<NamedCommand> name_command(std::span<const std::string> words, std::string_view program);

std::unique_ptr<Command> make_fill_mask();
std::unique_ptr<Command> make_generate();
std::unique_ptr<Command> make_embed();
std::unique_ptr<Command> make_score();
std::unique_ptr<Command> make_classify();
std::unique_ptr<Command> make_token_classify();
std::unique_ptr<Command> make_tokenize();
std::unique_ptr<Command> make_detokenize();
std::unique_ptr<Command> make_tokenizer_train();
std::unique_ptr<Command> make_inspect();
std::unique_ptr<Command> make_quantize();
std::unique_ptr<Command> make_convert();
std::unique_ptr<Command> make_diff();
std::unique_ptr<Command> make_verify();
std::unique_ptr<Command> make_train();
std::unique_ptr<Command> make_plot();
std::unique_ptr<Command> make_data_build();
std::unique_ptr<Command> make_data_diff();
std::unique_ptr<Command> make_data_inspect();
std::unique_ptr<Command> make_data_show();
std::unique_ptr<Command> make_data_verify();
std::unique_ptr<Command> make_pull();
std::unique_ptr<Command> make_list();
std::unique_ptr<Command> make_remove();
std::unique_ptr<Command> make_forward();
std::unique_ptr<Command> make_bench();
std::unique_ptr<Command> make_demo();
std::unique_ptr<Command> make_version();
std::unique_ptr<Command> make_help();

}  // namespace ettin::cli
