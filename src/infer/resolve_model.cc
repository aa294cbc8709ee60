#include "infer/resolve_model.h"

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "infer/locate_model.h"

namespace ettin {
namespace {

Status no_such_folder(const std::string& model, std::string_view hint) {
  return Status(StatusCode::not_found, fmt::format("{:.200}: no such folder", model),
                std::string(hint));
}

}  // namespace

Result<std::string> resolve_model(const std::string& model, const ResolveOptions& options) {
  ETTIN_ASSIGN_OR_RETURN(std::optional<std::string> local, find_local_model(model));
  if (local) return *std::move(local);
  ETTIN_ASSIGN_OR_RETURN(const std::optional<ModelName> name,
                         parse_model_name(model, options.also_known));
  if (!name) {
    return no_such_folder(model,
                          "give a folder with config.json, model.safetensors and tokenizer.json, "
                          "or ORG/NAME on the hub");
  }
  // "models/seedling-encodr" is a misspelt folder, and nobody's network should hear of it.
  const std::string organisation = name->repository.substr(0, name->repository.find('/'));
  if (model.starts_with(organisation + "/") && directory_exists(organisation)) {
    return no_such_folder(model, fmt::format("the folder {} is here, but not this one in it; "
                                             "`ettin pull` fetches a model of the hub",
                                             organisation));
  }
  ETTIN_ASSIGN_OR_RETURN(HubSettings settings, hub_settings());
  settings.offline = settings.offline || options.offline;
  if (auto found = find_in_cache(*name, settings, options.pull.wanted)) return *std::move(found);
  if (settings.offline) {
    return Status(
        StatusCode::not_found,
        fmt::format("{}@{} is not in the cache {}, and the hub is not asked while offline",
                    name->repository, name->revision, settings.cache),
        "leave out --offline or unset HF_HUB_OFFLINE, or pull it where a network is");
  }
  ETTIN_ASSIGN_OR_RETURN(const PulledModel pulled, pull_model(*name, settings, options.pull));
  return pulled.directory;
}

ResolveOptions resolve_options(const ModelOptions& options) {
  ResolveOptions resolve;
  resolve.offline = options.offline;
  resolve.pull.wanted.dtype = options.dtype;
  resolve.pull.wanted.weights = options.load_weights;
  resolve.pull.notice = log_notice;
  return resolve;
}

}  // namespace ettin
