#include "model/model_folder.h"

#include <utility>

#include "model/follow_graph.h"
#include "model/model_settings.h"

namespace ettin {

Result<ModelFolder> read_model_folder(const ModelFiles& files, std::vector<std::string>* warnings,
                                      const AskedThetas& asked) {
  LoadOptions load;
  load.allow_extra_tensors = true;
  ModelFolder folder;
  ETTIN_ASSIGN_OR_RETURN(ModelSettings settings, read_settings(files, warnings, asked));
  folder.settings = std::move(settings.json);
  folder.config = std::move(settings.config);
  ETTIN_ASSIGN_OR_RETURN(folder.source, open_weights(files, &settings));
  ETTIN_RETURN_IF_ERROR(
      follow_graph(folder.source.graph(), &folder.config, &folder.settings, warnings));
  if (folder.source.graph() != nullptr) {
    ETTIN_RETURN_IF_ERROR(override_thetas(asked, &folder.config));
  }
  ETTIN_ASSIGN_OR_RETURN(folder.plan, find_tensors(folder.config, folder.source, load, warnings));
  ETTIN_RETURN_IF_ERROR(check_levels(folder.plan, folder.source));
  return folder;
}

std::string weights_path(const ModelFolder& folder, const std::string& path) {
  const GraphFacts* graph = folder.source.graph();
  return graph == nullptr ? path : graph->file;
}

}  // namespace ettin
