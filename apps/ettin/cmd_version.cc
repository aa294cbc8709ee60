// ettin version
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "backend/cpu/isa.h"
#include "base/json.h"
#include "command.h"
#include "ettin/version.h"

namespace ettin::cli {
namespace {

class Version : public Command {
 public:
  CommandHelp help() const override {
    return {
        "[OPTIONS]",
        "Shows the version, the instruction sets that this machine and this program share "
        "(best first; the first one is used unless ETTIN_ISA says otherwise), and the compiler.",
        {"ettin --version", "ettin version --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.toggle("--json", "an object with version, instruction_sets and compiler", &json);
  }

  Status run(Console& console) override {
    std::vector<std::string_view> sets;
    for (const cpu::IsaChoice& isa : cpu::available_isas()) sets.push_back(isa.name);
    const std::string compiler = ETTIN_COMPILER;
    if (json) {
      console.line(dump_json(
          {{"version", ETTIN_VERSION_STRING}, {"instruction_sets", sets}, {"compiler", compiler}}));
      return {};
    }
    console.line(fmt::format("ettin {}", ETTIN_VERSION_STRING));
    console.line(fmt::format("instruction sets  {}", fmt::join(sets, ", ")));
    console.line(fmt::format("compiler          {}", compiler));
    return {};
  }
};

}  // namespace

std::unique_ptr<Command> make_version() { return std::make_unique<Version>(); }

}  // namespace ettin::cli
