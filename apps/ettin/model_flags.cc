#include "model_flags.h"

#include <fmt/format.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/file.h"
#include "infer/locate_model.h"
#include "infer/resolve_model.h"
#include "infer/session.h"
#include "pull_progress.h"

namespace ettin::cli {
namespace {

// Folder of the running program; empty when the system does not say.
std::string program_folder() {
  char path[4096];
  const ssize_t length = ::readlink("/proc/self/exe", path, sizeof(path));
  if (length <= 0 || static_cast<size_t>(length) == sizeof(path)) return {};
  const std::string_view whole(path, static_cast<size_t>(length));
  return std::string(whole.substr(0, whole.rfind('/')));
}

// Where models are looked up by name, first match wins.
std::vector<std::string> model_folders() {
  const char* named = std::getenv("ETTIN_MODELS");
  if (named != nullptr && *named != '\0') return {named};
  std::vector<std::string> folders;
  if (const std::string here = program_folder(); !here.empty()) {
    folders.push_back(here + "/../share/ettin/models");
  }
  folders.emplace_back(ETTIN_MODELS_DIR);
  folders.emplace_back(ETTIN_INSTALLED_MODELS_DIR);
  return folders;
}

}  // namespace

Result<std::string> find_model(Console& console, const std::string& model,
                               const ModelOptions& how) {
  ETTIN_ASSIGN_OR_RETURN(std::optional<std::string> local, find_local_model(model));
  if (local) return *std::move(local);
  if (is_plain_file_name(model)) {
    for (const std::string& folder : model_folders()) {
      std::string path = join_path(folder, model);
      if (directory_exists(path)) return path;
    }
  }
  ETTIN_RETURN_IF_ERROR(check_options(how));
  PullProgressLine line(console);
  ResolveOptions resolve = resolve_options(how);
  resolve.also_known = {kDefaultEncoder, kDefaultDecoder};
  const WantedFiles wanted = resolve.pull.wanted;
  resolve.pull = line.options();
  resolve.pull.wanted = wanted;
  return resolve_model(model, resolve);
}

void ModelFlags::add_compute_to(Flags& flags) {
  flags.option("--threads", "N", "threads; 0: the CPUs this process may run on", &threads);
  flags.option("--dtype", "TYPE",
               "number format: auto, fp32, bf16, q8 (int8), q4; fp64 with --backend ref; of ONNX "
               "files which one: auto, fp32, fp16, q8, q4, q4f16, int8, uint8",
               &dtype);
  flags.toggle("--exact-activations",
               "bf16, q8, q4: round the weights only, not what they multiply", &exact_activations);
  flags.toggle("--expand-weights", "ONNX: expand int8 and 4-bit weights to fp32", &expand_weights);
  flags.choice(
      "--int8-scales", {"token", "sequence"},
      "ONNX int8: round each token by a scale of its own, or all of a text by one, as ONNX "
      "Runtime does with one text",
      &int8_scales);
  flags.choice("--backend", {"cpu", "ref"}, "cpu, or ref: slow, the definition of correctness",
               &backend);
}

void ModelFlags::add_thetas_to(Flags& flags) {
  flags.option("--global-rope-theta", "X",
               "replaces what config.json, or the training phase of a checkpoint, says",
               &global_rope_theta);
  flags.option("--local-rope-theta", "X", "the same for local layers", &local_rope_theta);
}

void ModelFlags::add_to(Flags& flags, std::string_view standard) {
  flags.group("model");
  flags.option(
      "--model", "MODEL",
      fmt::format(
          "folder, embedded model, training checkpoint (FILE.pt, or FOLDER@baN of many), "
          "ONNX file, ORG/NAME[@REVISION] on the hub, or a short name like ettin-encoder-32m [{}]",
          standard),
      &model);
  flags.toggle("--offline", "a model that is named comes from the cache or not at all", &offline);
  add_compute_to(flags);
  flags.option("--causal-window-keys", "N",
               "decoders: keys that a local layer sees; 64 is what transformers computes, 65 what "
               "training computed",
               &causal_window_keys);
  add_thetas_to(flags);
  flags.choice("--decoder-template", {"bos", "serialized"},
               "decoders: [CLS] before the text only, or what tokenizer.json says",
               &decoder_template);
  flags.toggle("--allow-extra-tensors", "accept tensors that nothing uses", &allow_extra_tensors);
  flags.toggle("--keep-packed",
               "keep packed weights in the model's folder, for quicker loads; safe to delete",
               &keep_packed);
}

ModelOptions ModelFlags::options() const {
  ModelOptions options;
  options.backend = backend;
  options.dtype = dtype;
  options.exact_activations = exact_activations;
  options.expand_weights = expand_weights;
  options.int8_scales = int8_scales;
  options.threads = threads;
  options.causal_window_keys = causal_window_keys;
  options.global_rope_theta = global_rope_theta;
  options.local_rope_theta = local_rope_theta;
  options.serialized_template = decoder_template == "serialized";
  options.allow_extra_tensors = allow_extra_tensors;
  options.keep_packed = keep_packed;
  options.offline = offline;
  return options;
}

Result<Model> ModelFlags::load(Console& console, std::string_view standard) const {
  return load(console, standard, options());
}

Result<Model> ModelFlags::load_tokenizer(Console& console, std::string_view standard) const {
  ModelOptions how = options();
  how.load_weights = false;
  return load(console, standard, how);
}

Result<Model> ModelFlags::load(Console& console, std::string_view standard,
                               const ModelOptions& how) const {
  const std::string wanted = model.empty() ? std::string(standard) : model;
  ETTIN_ASSIGN_OR_RETURN(const std::string directory, find_model(console, wanted, how));
  console.draw_progress(fmt::format("loading {}", directory));
  Result<Model> loaded = Model::load(directory, how);
  console.draw_progress("");
  return loaded;
}

}  // namespace ettin::cli
