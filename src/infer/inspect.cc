#include "infer/inspect.h"

#include <cmath>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/hash.h"
#include "formats/checkpoint_trail.h"
#include "formats/tensor_source.h"
#include "infer/locate_model.h"
#include "infer/session.h"
#include "model/find_tensors.h"
#include "model/follow_graph.h"
#include "model/model_settings.h"

namespace ettin {
namespace {

Json optional_id(const std::optional<int32_t>& id) { return id ? Json(*id) : Json(nullptr); }

Json model_section(const Session& session) {
  const ModelConfig& c = session.config();
  return {{"directory", session.info().directory},
          {"kind", c.arm.name},
          {"direction", c.arm.direction == Direction::causal ? "causal" : "bidirectional"},
          {"objective", c.arm.objective == Objective::clm ? "clm" : "mlm"},
          {"head", head_name(c.head)},
          {"parameters", session.info().parameters}};
}

Json architecture_section(const ModelConfig& c) {
  Json section = {{"layers", c.num_layers},
                  {"hidden_size", c.hidden_size},
                  {"intermediate_size", c.intermediate_size},
                  {"attention_heads", c.num_heads},
                  {"head_size", c.head_dim()},
                  {"vocab_size", c.vocab_size},
                  {"max_positions", c.max_positions},
                  {"activation", activation_name(c.activation)},
                  {"head_activation", activation_name(c.classifier_activation)},
                  {"norm_eps", c.norm_eps},
                  {"norm_bias", c.norm_bias},
                  {"attention_bias", c.attention_bias},
                  {"mlp_bias", c.mlp_bias},
                  {"tied_embeddings", c.tie_word_embeddings}};
  if (c.head == Head::sequence_classification || c.head == Head::token_classification) {
    section["labels"] = c.labels;
    if (!c.problem_type.empty()) section["problem_type"] = c.problem_type;
    section["classifier_pooling"] = c.arm.direction == Direction::causal    ? "last"
                                    : c.classifier_pooling == Pooling::mean ? "mean"
                                                                            : "cls";
  }
  return section;
}

Json attention_section(const ModelConfig& c) {
  std::string pattern;
  for (const bool global : c.layer_is_global) pattern += global ? 'G' : 'l';
  const AttentionSpec local =
      attention_spec(c.arm.direction, false, c.window_each_side, c.causal_window_keys);
  return {{"pattern", pattern},
          {"local_keys_left", local.left},
          {"local_keys_right", local.right},
          {"local_keys", local.left + 1 + local.right}};
}

// `formats`: matrices of each number format. Bits: those of all stored values, for each parameter.
Json tensors_section(const TensorSource& source, const ModelConfig& config,
                     const std::map<std::string, int64_t>& formats) {
  std::map<std::string_view, int64_t> by_dtype;
  uint64_t bytes = 0;
  std::set<const std::byte*> counted;  // a tied matrix may have two names
  for (const StoredTensor& t : source.tensors()) {
    ++by_dtype[dtype_name(t.dtype)];
    if (counted.insert(t.bytes.data()).second) bytes += t.stored_bytes();
  }
  Json dtypes = Json::object();
  for (const auto& [name, count] : by_dtype) dtypes[std::string(name)] = count;
  const double bits = 8.0 * static_cast<double>(bytes);
  return {{"count", source.tensors().size()},
          {"bytes", bytes},
          {"dtypes", dtypes},
          {"formats", formats},
          {"bits_per_weight",
           std::round(1000 * bits / static_cast<double>(parameter_count(config))) / 1000}};
}

Json tokenizer_section(const Session& session) {
  if (!session.has_tokenizer()) return nullptr;
  const Tokenizer& t = session.tokenizer();
  std::string shape;
  for (const int32_t id : t.encode("a").ids) {
    shape += fmt::format("{}{}", shape.empty() ? "" : " ",
                         t.is_special(id) ? t.token_string(id) : "text");
  }
  return {{"vocab_size", t.vocab_size()},        {"template", shape},
          {"max_length", session.max_tokens()},  {"bos_id", optional_id(t.bos_id())},
          {"eos_id", optional_id(t.eos_id())},   {"cls_id", optional_id(t.cls_id())},
          {"sep_id", optional_id(t.sep_id())},   {"pad_id", optional_id(t.pad_id())},
          {"mask_id", optional_id(t.mask_id())}, {"unk_id", optional_id(t.unk_id())}};
}

Result<Json> files_section(const std::string& directory, const TensorSource& source) {
  std::vector<std::string> paths;
  for (const char* name : {"config.json", "generation_config.json", "tokenizer.json",
                           "tokenizer_config.json", "special_tokens_map.json"}) {
    const std::string path = join_path(directory, name);
    if (file_exists(path)) paths.push_back(path);
  }
  paths.insert(paths.end(), source.files().begin(), source.files().end());
  Json files = Json::array();
  for (const std::string& path : paths) {
    ETTIN_ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
    files.push_back(
        {{"path", path}, {"bytes", file.bytes().size()}, {"sha256", sha256_hex(file.bytes())}});
  }
  return files;
}

template <class T>
Json or_null(const std::optional<T>& value) {
  return value ? Json(*value) : Json(nullptr);
}

Json checkpoint_section(const ModelFiles& files, const Checkpoint& checkpoint) {
  return {{"file", files.checkpoint},
          {"batch", or_null(checkpoint.batch)},
          {"tokens", or_null(checkpoint.tokens)},
          {"phase", files.phase.name()}};
}

// Null where the path names one checkpoint.
Result<Json> trail_section(const std::string& path, const ModelFiles& files) {
  if (files.checkpoint.empty() || !directory_exists(path)) return Json();
  ETTIN_ASSIGN_OR_RETURN(const std::vector<TrailFile> trail, list_trail(path));
  Json section = Json::array();
  for (const TrailFile& file : trail) {
    ETTIN_ASSIGN_OR_RETURN(const ModelFiles its, find_model_files(join_path(path, file.name)));
    section.push_back({{"file", file.name},
                       {"epoch", or_null(file.epoch)},
                       {"batch", or_null(file.batch)},
                       {"phase", its.phase.name()},
                       {"taken", its.checkpoint == files.checkpoint}});
  }
  return section;
}

}  // namespace

Result<Json> inspect_model(const std::string& path, const ModelOptions& options) {
  ModelOptions facts_only = options;  // a large model is described without being packed
  facts_only.load_weights = false;
  ETTIN_ASSIGN_OR_RETURN(const std::shared_ptr<const Session> session,
                         Session::load(path, facts_only));
  ETTIN_ASSIGN_OR_RETURN(const ModelFiles files, locate_model(path, options.dtype));
  std::optional<Checkpoint> checkpoint;
  TensorSource source;
  if (files.checkpoint.empty()) {
    ETTIN_ASSIGN_OR_RETURN(source, open_weights(files));
  } else {
    ETTIN_ASSIGN_OR_RETURN(checkpoint, open_checkpoint(files.checkpoint));
    source = std::move(checkpoint->source);
  }
  ModelConfig c = session->config();
  std::vector<std::string> warnings = session->warnings();
  ETTIN_RETURN_IF_ERROR(follow_graph(source.graph(), &c, &warnings));
  LoadOptions load;
  load.allow_extra_tensors = options.allow_extra_tensors;
  ETTIN_ASSIGN_OR_RETURN(const auto plan, find_tensors(c, source, load, &warnings));
  std::map<std::string, int64_t> formats;
  for (const FoundTensor& found : plan) {
    for (const StoredMatrix& m : found.blocks) ++formats[std::string(stored_name(m))];
  }
  Json report = Json::object();
  report["model"] = model_section(*session);
  if (checkpoint) {
    report["checkpoint"] = checkpoint_section(files, *checkpoint);
    ETTIN_ASSIGN_OR_RETURN(Json trail, trail_section(path, files));
    if (!trail.is_null()) report["trail"] = std::move(trail);
  }
  report["architecture"] = architecture_section(c);
  report["attention"] = attention_section(c);
  report["rope"] = {{"global_theta", c.global_rope_theta},
                    {"local_theta", c.local_rope_theta},
                    {"reason", c.rope_reason}};
  report["tensors"] = tensors_section(source, c, formats);
  report["tokenizer"] = tokenizer_section(*session);
  ETTIN_ASSIGN_OR_RETURN(report["files"], files_section(files.directory, source));
  report["warnings"] = warnings;
  return report;
}

}  // namespace ettin
