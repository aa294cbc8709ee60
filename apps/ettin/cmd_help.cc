// ettin help
#include <fmt/format.h>

#include "base/json.h"
#include "base/suggest.h"
#include "command.h"
#include "help.h"

namespace ettin::cli {
namespace {

class Help : public Command {
 public:
  CommandHelp help() const override {
    return {"[COMMAND]",
            "Shows what the program or one of its commands can do.",
            {"ettin help", "ettin help generate"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&topics_, 1);
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
    if (const CommandEntry* entry = find_command(topics_[0])) {
      console.write(command_help(console, program, *entry));
      return {};
    }
    const auto close = closest(topics_[0], command_names());
    return Status(StatusCode::invalid_argument,
                  fmt::format("unknown command \"{:.60}\"", topics_[0]),
                  close ? fmt::format("did you mean {}?", *close)
                        : fmt::format("{} help lists the commands", program));
  }

 private:
  std::vector<std::string> topics_;
  bool names_ = false;
};

}  // namespace

std::unique_ptr<Command> make_help() { return std::make_unique<Help>(); }

}  // namespace ettin::cli
