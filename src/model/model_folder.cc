#include "model/model_folder.h"

#include "formats/hf_config.h"
#include "model/follow_graph.h"

namespace ettin {

Result<ModelFolder> read_model_folder(const std::string& directory,
                                      std::vector<std::string>* warnings, std::string_view dtype) {
  LoadOptions load;
  load.allow_extra_tensors = true;
  ModelFolder folder;
  ETTIN_ASSIGN_OR_RETURN(const HfConfig file, read_hf_config(directory));
  ETTIN_ASSIGN_OR_RETURN(folder.config, resolve_config(file, warnings));
  ETTIN_ASSIGN_OR_RETURN(folder.source, TensorSource::open(directory, dtype));
  ETTIN_RETURN_IF_ERROR(follow_graph(folder.source.graph(), &folder.config, warnings));
  ETTIN_ASSIGN_OR_RETURN(folder.plan, find_tensors(folder.config, folder.source, load, warnings));
  ETTIN_RETURN_IF_ERROR(check_levels(folder.plan, folder.source));
  return folder;
}

}  // namespace ettin
