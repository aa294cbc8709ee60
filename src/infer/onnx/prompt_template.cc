#include "infer/onnx/prompt_template.h"

#include "base/file.h"
#include "base/json.h"

namespace ettin {
namespace {

// True when something was dropped.
bool open_template(Json* processor) {
  if (!processor->is_object()) return false;
  bool changed = false;
  if (const auto parts = processor->find("processors");
      parts != processor->end() && parts->is_array()) {
    for (Json& part : *parts) changed = open_template(&part) || changed;
  }
  for (const char* key : {"single", "pair"}) {
    const auto pieces = processor->find(key);
    if (pieces == processor->end() || !pieces->is_array()) continue;
    while (pieces->size() > 1 && json_member(pieces->back(), "SpecialToken") != nullptr) {
      pieces->erase(pieces->size() - 1);
      changed = true;
    }
  }
  return changed;
}

}  // namespace

Status open_prompt_template(const std::string& directory) {
  const std::string path = join_path(directory, "tokenizer.json");
  const std::string settings = join_path(directory, "tokenizer_config.json");
  if (!file_exists(path)) return {};
  if (file_exists(settings)) {
    ETTIN_ASSIGN_OR_RETURN(const Json config, parse_json_file(settings));
    ETTIN_ASSIGN_OR_RETURN(const auto closed, json_find<bool>(config, "add_eos_token", settings));
    if (closed.value_or(false)) return {};
  }
  JsonLimits limits;
  limits.big_integers = true;  // nobody's business here
  ETTIN_ASSIGN_OR_RETURN(Json tokenizer, parse_json_file(path, limits));
  const auto processor = tokenizer.find("post_processor");
  if (processor == tokenizer.end() || !open_template(&*processor)) return {};
  return write_file_atomic(path, dump_json(tokenizer, 2) + "\n");
}

}  // namespace ettin
