// ettin help
#include <fmt/format.h>

#include "base/json.h"
#include "command.h"
#include "help.h"

namespace ettin::cli {
namespace {

class Help : public Command {
 public:
  CommandHelp help() const override {
    return {"[COMMAND]",
            "Shows what the program or one of its commands can do.",
            {"ettin help", "ettin help generate", "ettin help data build"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&topics_, 2);
    flags.toggle("--names", "only the names of the commands, one a line", &names_);
    flags.toggle("--json", "the commands as an array of {name, summary}", &json);
  }

  Status run(Console& console) override {
    if (names_) {
      for (const std::string_view name : command_names()) console.line(name);
      return {};
    }
    if (json) {
      Json commands = Json::array();
      for (const CommandEntry& entry : command_table()) {
        commands.push_back({{"name", entry.name}, {"summary", entry.summary}});
      }
      console.line(dump_json(commands));
      return {};
    }
    if (topics_.empty()) {
      console.write(program_help(console, program));
      return {};
    }
    const CommandGroup* group = find_group(topics_[0]);
    if (group != nullptr && topics_.size() == 1) {
      console.write(group_help(console, program, *group));
      return {};
    }
    ETTIN_ASSIGN_OR_RETURN(const NamedCommand command, name_command(topics_, program));
    if (command.words < topics_.size()) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("{} has no command \"{:.60}\"", topics_[0], topics_[1]),
                    fmt::format("{} help {} shows what it does", program, topics_[0]));
    }
    console.write(command_help(console, program, *command.entry));
    return {};
  }

 private:
  std::vector<std::string> topics_;
  bool names_ = false;
};

}  // namespace

std::unique_ptr<Command> make_help() { return std::make_unique<Help>(); }

}  // namespace ettin::cli
