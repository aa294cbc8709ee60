#include "train/checkpoint.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/json.h"
#include "model/config_json.h"
#include "text/tokenizer.h"
#include "train/checkpoint_name.h"
#include "train/checkpoint_tensors.h"
#include "train/checksums.h"
#include "train/durable_folder.h"
#include "train/state_json.h"

namespace ettin {
namespace {

constexpr std::array<std::string_view, 3> kTokenizerFiles{"tokenizer.json", "tokenizer_config.json",
                                                          "special_tokens_map.json"};
constexpr size_t kMostTokenizerBytes = size_t{64} << 20;

Result<TokenIds> token_ids(const std::string& tokenizer) {
  TokenIds ids;
  if (tokenizer.empty()) return ids;
  ETTIN_ASSIGN_OR_RETURN(const auto loaded, Tokenizer::load(tokenizer));
  ids.cls = loaded->cls_id();
  ids.sep = loaded->sep_id();
  ids.pad = loaded->pad_id();
  ids.bos = loaded->bos_id() ? loaded->bos_id() : loaded->cls_id();
  ids.eos = loaded->eos_id() ? loaded->eos_id() : loaded->sep_id();
  return ids;
}

// Every file but checksums.json; each is synced when its writer returns.
Status write_files(const std::string& folder, const ModelConfig& config,
                   const std::string& tokenizer, const CheckpointIdentity& identity,
                   const TrainState& state, const TrainTensors& tensors) {
  ETTIN_ASSIGN_OR_RETURN(const TokenIds ids, token_ids(tokenizer));
  ETTIN_RETURN_IF_ERROR(write_file_atomic(join_path(folder, "config.json"),
                                          dump_json(to_config_json(config, ids), 2) + "\n"));
  for (const std::string_view name : kTokenizerFiles) {
    const std::string from = join_path(tokenizer, name);
    if (tokenizer.empty() || !file_exists(from)) continue;
    ETTIN_ASSIGN_OR_RETURN(const std::string text, read_file(from, kMostTokenizerBytes));
    ETTIN_RETURN_IF_ERROR(write_file_atomic(join_path(folder, name), text));
  }
  ETTIN_RETURN_IF_ERROR(
      write_views(join_path(folder, "model.safetensors"), named_weights(config, tensors.values)));
  ETTIN_RETURN_IF_ERROR(write_views(join_path(folder, "optimizer.safetensors"),
                                    named_moments(config, tensors.moment1, tensors.moment2)));
  return write_file_atomic(join_path(folder, "training_state.json"),
                           state_to_json(identity, state));
}

Status add_checksums(const std::string& folder, int64_t step) {
  Checksums checksums{step, {}};
  ETTIN_ASSIGN_OR_RETURN(const auto names, list_folder(folder, false));
  for (const std::string& name : names) {
    ETTIN_ASSIGN_OR_RETURN(checksums.files[name], sum_file(join_path(folder, name)));
  }
  return write_checksums(folder, checksums);
}

Status check_identity(const std::string& path, const StateFile& file,
                      const CheckpointIdentity& identity) {
  if (file.arm != identity.arm.name) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{}: a checkpoint of the {:.40} arm, not of the {}", path, file.arm,
                              identity.arm.name),
                  fmt::format("continue it as {:.40}, or choose another run folder", file.arm));
  }
  if (file.recipe_hash == identity.recipe_hash) return {};
  return Status(StatusCode::invalid_argument,
                fmt::format("{}: a checkpoint of another recipe, {:.12} and not {:.12}", path,
                            file.recipe_hash, identity.recipe_hash),
                "resume with the recipe that the run folder holds, recipe.yaml, or start a new run "
                "from this checkpoint with init_from");
}

}  // namespace

Result<std::string> write_checkpoint(const std::string& folder, const std::string& tag,
                                     const ModelConfig& config, const std::string& tokenizer,
                                     const CheckpointIdentity& identity, const TrainState& state,
                                     const TrainTensors& tensors) {
  if (!is_checkpoint_tag(tag)) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("the tag \"{:.40}\" cannot name a checkpoint", tag),
                  "use letters, '-' and '_', at most 40 of them");
  }
  const std::string name = checkpoint_name(tag, state.phase_step), path = join_path(folder, name);
  const auto write = [&]() -> Status {
    ETTIN_RETURN_IF_ERROR(remove_left_overs(folder));
    ETTIN_ASSIGN_OR_RETURN(DurableFolder aside, DurableFolder::create(folder, name));
    ETTIN_RETURN_IF_ERROR(write_files(aside.path(), config, tokenizer, identity, state, tensors));
    ETTIN_RETURN_IF_ERROR(add_checksums(aside.path(), state.step));
    return aside.publish();
  };
  const Status status = write();
  if (status.ok()) return path;
  const bool from_here = status.code() == StatusCode::io_error;
  return Status(status.code(),
                fmt::format("{}: the checkpoint was not written: {}", path, status.message()),
                from_here ? "make room or give write access there; earlier checkpoints are whole"
                          : status.hint());
}

Status read_checkpoint(const std::string& path, const ModelConfig& config,
                       const CheckpointIdentity& identity, TrainState* state,
                       TrainTensors* tensors) {
  ETTIN_ASSIGN_OR_RETURN(const Checksums checksums, read_checksums(path));
  ETTIN_ASSIGN_OR_RETURN(const auto files, open_checked(path, checksums));
  const MappedFile& state_file = files.at("training_state.json");
  const auto text = state_file.bytes();
  ETTIN_ASSIGN_OR_RETURN(StateFile found,
                         state_from_json({reinterpret_cast<const char*>(text.data()), text.size()},
                                         state_file.path()));
  ETTIN_RETURN_IF_ERROR(check_identity(path, found, identity));
  if (found.state.step != checksums.step) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: step {} in {} and {} in training_state.json", path,
                              checksums.step, kChecksumsFile, found.state.step),
                  "use another checkpoint");
  }
  const std::vector<NamedView> weights = named_weights(config, tensors->values);
  const std::vector<NamedView> moments = named_moments(config, tensors->moment1, tensors->moment2);
  ETTIN_ASSIGN_OR_RETURN(const auto weight_bytes,
                         find_views(files.at("model.safetensors"), weights));
  ETTIN_ASSIGN_OR_RETURN(const auto moment_bytes,
                         find_views(files.at("optimizer.safetensors"), moments));
  // From here on nothing can fail.
  fill_views(weights, weight_bytes);
  fill_views(moments, moment_bytes);
  *state = std::move(found.state);
  return {};
}

}  // namespace ettin
