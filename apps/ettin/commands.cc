#include "command.h"

namespace ettin::cli {

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

std::vector<std::string_view> command_names() {
  std::vector<std::string_view> names;
  for (const CommandEntry& entry : command_table()) names.push_back(entry.name);
  return names;
}

}  // namespace ettin::cli
