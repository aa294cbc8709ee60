#include "infer/quantize.h"

#include <utility>
#include <vector>

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "infer/locate_model.h"
#include "infer/new_folder.h"
#include "model/follow_graph.h"
#include "model/model_settings.h"
#include "model/save.h"
#include "tensor/hadamard.h"

namespace ettin {
namespace {

Status write_config(Json config, const std::string& to, WeightFormat format) {
  config.erase("quantization_config");
  if (format == WeightFormat::bf16) {
    config[config.contains("dtype") ? "dtype" : "torch_dtype"] = "bfloat16";
  } else {
    Json about = {{"quant_method", "ettin"}, {"format", format_name(format)}};
    if (format == WeightFormat::q8) about["rotation"] = kRotation;
    config["quantization_config"] = std::move(about);
  }
  return write_file_atomic(join_path(to, "config.json"), dump_json(config, 2) + "\n");
}

}  // namespace

Status quantize_folder(const std::string& from, const std::string& to,
                       const QuantizeOptions& options) {
  ETTIN_ASSIGN_OR_RETURN(const ModelFiles files, locate_model(from));
  ETTIN_ASSIGN_OR_RETURN(NewFolder folder, NewFolder::create(files.directory, to, options.force));
  std::vector<std::string> warnings;
  ETTIN_ASSIGN_OR_RETURN(ModelSettings settings, read_settings(files, &warnings));
  ETTIN_ASSIGN_OR_RETURN(const TensorSource source, open_weights(files, &settings));
  ETTIN_RETURN_IF_ERROR(follow_graph(source.graph(), &settings.config, &settings.json, &warnings));
  LoadOptions load;
  load.allow_extra_tensors = options.allow_extra_tensors;
  ETTIN_RETURN_IF_ERROR(save_tensors(settings.config, source, load, options.format,
                                     join_path(folder.path(), "model.safetensors"), &warnings));
  ETTIN_RETURN_IF_ERROR(folder.copy_small_files());
  ETTIN_RETURN_IF_ERROR(write_config(std::move(settings.json), folder.path(), options.format));
  for (const std::string& warning : warnings) log_warning(warning);
  return folder.move_to_target();
}

}  // namespace ettin
