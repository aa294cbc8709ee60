#include "help.h"

#include <fmt/format.h>

#include <algorithm>

#include "ettin/version.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr int kWidest = 100;  // longer lines are hard to read
constexpr int kHelpColumn = 27;

int text_width(const Console& console) { return std::clamp(console.width(), 50, kWidest); }

// `left`, then `right` wrapped in the columns from `column` on.
std::string two_columns(std::string_view left, std::string_view right, int column, int width) {
  const bool fits = display_width(left) < column;
  std::string out = fmt::format("{}{}", pad_right(left, column - 1), fits ? " " : "\n");
  bool first = fits;
  for (const std::string& line : wrap(right, width - column)) {
    if (!first) out += std::string(static_cast<size_t>(column), ' ');
    out += fmt::format("{}\n", line);
    first = false;
  }
  return out;
}

std::string flag_lines(const Flag& flag, int width) {
  const std::string left = fmt::format("  {} {}", flag.name, flag.value);
  std::string right = flag.help;
  if (flag.repeatable) right += " (may be repeated)";
  if (!flag.default_text.empty()) right += fmt::format(" [{}]", flag.default_text);
  return two_columns(left, right, kHelpColumn, width);
}

std::string as_called(std::string example, std::string_view program) {
  constexpr std::string_view kName = "ettin ";
  for (size_t at = 0; (at = example.find(kName, at)) != std::string::npos;) {
    // Not the "ettin " at the end of another word.
    if (at == 0 || example[at - 1] == ' ') {
      example.replace(at, kName.size() - 1, program);
      at += program.size();
    } else {
      at += kName.size();
    }
  }
  return example;
}

}  // namespace

std::string program_help(const Console& console, std::string_view program) {
  const int width = text_width(console);
  const auto heading = [&](std::string_view text) {
    return fmt::format("{}\n", console.out(Style::bold, text));
  };
  std::string out = fmt::format("{} {}: Ettin encoders and decoders, on this CPU\n\n",
                                console.out(Style::bold, "ettin"), ETTIN_VERSION_STRING);
  out += heading("usage");
  out += fmt::format("  {} COMMAND [OPTIONS] [TEXT...]\n", program);
  out += fmt::format("  {} COMMAND --help\n\n", program);
  out += heading("commands");
  for (const CommandEntry& entry : command_table()) {
    out += two_columns(fmt::format("  {}", entry.name), entry.summary, 19, width);
  }
  out += fmt::format("\n{}", heading("examples"));
  for (const char* example : {"ettin fill-mask \"The capital of France is [MASK].\"",
                              "ettin generate \"A violin is a kind of\"",
                              "ettin embed --input texts.jsonl --output v.npy"}) {
    out += fmt::format("  {}\n", as_called(example, program));
  }
  out += fmt::format("\n{}", heading("environment"));
  for (const auto& [name, text] :
       {std::pair{"ETTIN_...",
                  "every option by its name: ETTIN_THREADS=2 is --threads 2; the "
                  "command line wins"},
        std::pair{"ETTIN_MODELS", "folder with the models that are found by name"},
        std::pair{"HF_HOME, HF_TOKEN",
                  "the hub's cache and token, as in Python; HF_HUB_OFFLINE=1: no network"},
        std::pair{"ETTIN_ISA", "best instruction set to use, e.g. avx2"},
        std::pair{"NO_COLOR", "no colours; CLICOLOR_FORCE=1: colours even into a file"}}) {
    out += two_columns(fmt::format("  {}", name), text, 19, width);
  }
  out += fmt::format("\n{}", heading("exit codes"));
  for (const auto& [code, text] :
       {std::pair{"0", "done"}, std::pair{"1", "failed while running; of diff and verify: no"},
        std::pair{"2", "wrong usage: a command, option or text that cannot be used"},
        std::pair{"3", "a model or file does not exist"},
        std::pair{"4", "the hub cannot be reached, or refuses"},
        std::pair{"5", "a model's files are damaged or contradict each other"},
        std::pair{"130, 141", "interrupted; the reader of the output went away"}}) {
    out += two_columns(fmt::format("  {}", code), text, 19, width);
  }
  return out;
}

std::string group_help(const Console& console, std::string_view program,
                       const CommandGroup& group) {
  std::string out = fmt::format("{} {}: {}\n\n", console.out(Style::bold, "ettin"),
                                console.out(Style::bold, group.name), group.summary);
  out += fmt::format("{}\n  {} {} COMMAND [OPTIONS]\n  {} {} COMMAND --help\n\n",
                     console.out(Style::bold, "usage"), program, group.name, program, group.name);
  out += fmt::format("{}\n", console.out(Style::bold, "commands"));
  for (const CommandEntry* entry : commands_of(group)) {
    out += two_columns(fmt::format("  {}", entry->name), entry->summary, 19, text_width(console));
  }
  return out;
}

std::string command_help(const Console& console, std::string_view program,
                         const CommandEntry& entry) {
  const int width = text_width(console);
  const std::unique_ptr<Command> command = entry.make();
  const CommandHelp help = command->help();
  Flags flags;
  command->add_flags(flags);
  std::string out = fmt::format("{} {}: {}\n\n", console.out(Style::bold, "ettin"),
                                console.out(Style::bold, entry.name), entry.summary);
  out += fmt::format("{}\n", console.out(Style::bold, "usage"));
  out += fmt::format("  {} {} {}\n\n", program, entry.name, help.usage);
  for (const std::string& line : wrap(help.description, width)) out += fmt::format("{}\n", line);
  std::string group;
  for (const Flag& flag : flags.all()) {
    if (flag.group != group) out += fmt::format("\n{}\n", console.out(Style::bold, flag.group));
    group = flag.group;
    out += flag_lines(flag, width);
  }
  if (!help.examples.empty()) {
    out += fmt::format("\n{}\n", console.out(Style::bold, "examples"));
  }
  for (const std::string& example : help.examples)
    out += fmt::format("  {}\n", as_called(example, program));
  return out;
}

}  // namespace ettin::cli
