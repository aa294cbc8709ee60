#include "command.h"

#include <fmt/format.h>

#include "base/suggest.h"

namespace ettin::cli {
namespace {

Status unknown_command(std::string_view word, std::string_view program) {
  const std::string message = fmt::format("unknown command \"{:.60}\"", word);
  std::vector<std::string_view> known = command_names();
  for (const CommandGroup& group : command_groups()) known.push_back(group.name);
  if (const auto close = closest(word, known)) {
    return Status(StatusCode::invalid_argument, message, fmt::format("did you mean {}?", *close));
  }
  return Status(StatusCode::invalid_argument, message,
                word.find(' ') != std::string_view::npos
                    ? fmt::format("to try both models on a text: {} demo \"TEXT\"", program)
                    : fmt::format("{} help lists the commands", program));
}

// `word` is what was given instead of a command of the group; empty: nothing.
Status unknown_member(const CommandGroup& group, std::string_view word, std::string_view program) {
  std::vector<std::string_view> known;
  for (const CommandEntry* entry : commands_of(group)) {
    known.push_back(entry->name.substr(group.name.size() + 1));
  }
  const auto close = closest(word, known);
  return Status(StatusCode::invalid_argument,
                word.empty() ? fmt::format("{} alone is no command", group.name)
                             : fmt::format("unknown command \"{} {:.60}\"", group.name, word),
                close && !word.empty()
                    ? fmt::format("did you mean {} {}?", group.name, *close)
                    : fmt::format("{} {} --help lists what follows", program, group.name));
}

}  // namespace

std::span<const CommandEntry> command_table() {
  static constexpr CommandEntry kCommands[] = {
      {"fill-mask", "the most likely words behind [MASK]", make_fill_mask},
      {"generate", "continue a text", make_generate},
      {"embed", "turn texts into vectors", make_embed},
      {"score", "how likely a text is, token by token", make_score},
      {"classify", "label texts, or pairs of texts", make_classify},
      {"token-classify", "label the words of a text", make_token_classify},
      {"tokenize", "text to token ids", make_tokenize},
      {"detokenize", "token ids to text", make_detokenize},
      {"inspect", "what a model folder holds", make_inspect},
      {"quantize", "a smaller copy of a model, and what it cost", make_quantize},
      {"convert", "a model in another layout or floating type", make_convert},
      {"diff", "how two models differ, tensor by tensor", make_diff, true},
      {"verify", "whether two models give the same answers", make_verify, true},
      {"train", "an encoder, a decoder, or the pair, from a recipe", make_train},
      {"plot", "charts of training runs", make_plot},
      {"data build", "texts to shards of token ids", make_data_build},
      {"data inspect", "what a data set holds", make_data_inspect},
      {"data diff", "whether two runs were fed the same", make_data_diff, true},
      {"data show", "what a run was fed in a step", make_data_show},
      {"data verify", "whether a data set is whole", make_data_verify, true},
      {"tokenizer train", "a tokenizer from texts", make_tokenizer_train},
      {"pull", "fetch a model from the hub", make_pull},
      {"list", "the fetched models", make_list},
      {"rm", "remove a fetched model", make_remove},
      {"forward", "token ids to hidden states and logits", make_forward},
      {"bench", "how fast a model runs here", make_bench},
      {"demo", "encoder and decoder on one text", make_demo},
      {"version", "version, instruction sets, compiler", make_version},
      {"help", "help for the program or a command", make_help},
  };
  return kCommands;
}

const CommandEntry* find_command(std::string_view name) {
  for (const CommandEntry& entry : command_table()) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

std::span<const CommandGroup> command_groups() {
  static constexpr CommandGroup kGroups[] = {
      {"data", "training data: shards of token ids"},
      {"tokenizer", "tokenizers of one's own"},
  };
  return kGroups;
}

const CommandGroup* find_group(std::string_view name) {
  for (const CommandGroup& group : command_groups()) {
    if (group.name == name) return &group;
  }
  return nullptr;
}

std::vector<const CommandEntry*> commands_of(const CommandGroup& group) {
  std::vector<const CommandEntry*> entries;
  for (const CommandEntry& entry : command_table()) {
    const std::string_view name = entry.name;
    if (name.starts_with(group.name) && name.substr(group.name.size()).starts_with(' ')) {
      entries.push_back(&entry);
    }
  }
  return entries;
}

Result<NamedCommand> name_command(std::span<const std::string> words, std::string_view program) {
  const std::string_view first = words.empty() ? std::string_view() : words[0];
  if (const CommandGroup* group = find_group(first)) {
    const std::string_view second = words.size() < 2 ? std::string_view() : words[1];
    if (const CommandEntry* entry = find_command(fmt::format("{} {}", first, second))) {
      return NamedCommand{entry, 2};
    }
    return unknown_member(*group, second.starts_with('-') ? std::string_view() : second, program);
  }
  // A name of two words is two words of the command line, not one with a space in it.
  const CommandEntry* entry = first.find(' ') == first.npos ? find_command(first) : nullptr;
  if (entry != nullptr) return NamedCommand{entry, 1};
  return unknown_command(first, program);
}

std::vector<std::string_view> command_names() {
  std::vector<std::string_view> names;
  for (const CommandEntry& entry : command_table()) names.push_back(entry.name);
  return names;
}

}  // namespace ettin::cli
