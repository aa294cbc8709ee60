#include "infer/generation_config.h"

#include <filesystem>
#include <system_error>

#include "base/file.h"

namespace ettin {

Status finish_generation_config(const std::string& directory, const Json& config, const Arm& arm,
                                Head head) {
  const std::string path = join_path(directory, "generation_config.json");
  if (arm.direction != Direction::causal) {
    std::error_code absent;
    std::filesystem::remove(path, absent);
    return {};
  }
  if (file_exists(path) || head != Head::language_model) return {};
  Json defaults = {{"_from_model_config", true}};
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    if (config.contains(key)) defaults[key] = config[key];
  }
  return write_file_atomic(path, dump_json(defaults, 2) + "\n");
}

}  // namespace ettin
