#include "infer/session.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include <fmt/format.h>

#include "base/file.h"
#include "base/log.h"
#include "base/onnx_names.h"
#include "formats/hf_config.h"
#include "formats/tensor_source.h"
#include "infer/locate_model.h"
#include "model/follow_graph.h"
#include "model/load.h"
#include "model/model_settings.h"

namespace ettin {
namespace {

// `stored`: what "auto" stands for.
Result<BackendOptions> backend_options(const ModelOptions& options, WeightFormat stored) {
  BackendOptions backend;
  backend.format = stored;
  backend.name = options.backend;
  backend.threads = options.threads;
  if (options.threads < 0 || options.threads > 1024) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{} threads cannot be used", options.threads),
                  "give 1 to 1024, or 0 for the CPUs this process may run on");
  }
  if (options.dtype != "auto") {
    const std::optional<WeightFormat> format = format_from_name(options.dtype);
    if (!format && !is_onnx_dtype(options.dtype)) {
      return Status(StatusCode::unsupported,
                    fmt::format("dtype \"{}\" is not known", options.dtype),
                    "choose auto, fp32, bf16, q8 (or int8), q4, or fp64 with backend ref; of ONNX "
                    "files also fp16, uint8 and q4f16");
    }
    backend.format = format.value_or(stored);
  }
  backend.exact_activations = options.exact_activations;
  if (options.int8_scales != "token" && options.int8_scales != "sequence") {
    return Status(StatusCode::invalid_argument,
                  fmt::format("int8_scales \"{:.40}\" is not known", options.int8_scales),
                  "choose token or sequence");
  }
  backend.int8_one_scale = options.int8_scales == "sequence";
  return backend;
}

Result<std::shared_ptr<const Backend>> open_backend(const ModelOptions& options,
                                                    WeightFormat stored) {
  ETTIN_ASSIGN_OR_RETURN(const BackendOptions backend, backend_options(options, stored));
  return make_backend(backend);
}

Status apply_options(const ModelOptions& options, ModelConfig* config) {
  if (options.causal_window_keys) {
    if (config->arm.direction != Direction::causal) {
      return Status(StatusCode::invalid_argument, "causal_window_keys is for decoders",
                    "leave it out: this model is an encoder");
    }
    if (*options.causal_window_keys < 1 || *options.causal_window_keys > (int64_t{1} << 24)) {
      return Status(
          StatusCode::invalid_argument,
          fmt::format("causal_window_keys {} is out of range", *options.causal_window_keys),
          "64 is what transformers computes, 65 what training computed");
    }
    config->causal_window_keys = *options.causal_window_keys;
  }
  return {};
}

Result<std::shared_ptr<const Tokenizer>> load_tokenizer(const std::string& directory,
                                                        const ModelConfig& config,
                                                        const ModelOptions& options,
                                                        std::vector<std::string>* warnings) {
  if (!file_exists(join_path(directory, "tokenizer.json"))) {
    warnings->push_back(directory + ": no tokenizer.json; only ids can be processed");
    return std::shared_ptr<const Tokenizer>();
  }
  ETTIN_ASSIGN_OR_RETURN(std::shared_ptr<const Tokenizer> tokenizer, Tokenizer::load(directory));
  if (tokenizer->vocab_size() > config.vocab_size) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: tokenizer.json has {} ids and config.json vocab_size {}",
                              directory, tokenizer->vocab_size(), config.vocab_size),
                  "the tokenizer belongs to another model");
  }
  if (config.arm.direction != Direction::causal || options.serialized_template) return tokenizer;
  // A prompt that ends in [SEP] would ask for what follows the end of a document; only a file that
  // asks for it in so many words gets it.
  const bool begins = tokenizer->add_bos_token().value_or(true);
  const bool ends = tokenizer->add_eos_token().value_or(false);
  return tokenizer->with_template(begins ? (ends ? Template::serialized : Template::bos_only)
                                         : (ends ? Template::eos_only : Template::none));
}

Result<Activation> module_activation(const SentenceModule& m) {
  if (m.activation == "identity") return Activation::identity;
  if (m.activation == "tanh") return Activation::tanh;
  if (m.activation == "gelu") return Activation::gelu;
  if (m.activation == "relu") return Activation::relu;
  if (m.activation == "silu") return Activation::silu;
  return Status(StatusCode::unsupported,
                fmt::format("{}: activation \"{}\" is not known", m.where, m.activation));
}

// The tensor `name` of a module, checked against the module's own config.
Result<const StoredTensor*> module_tensor(const SentenceModule& m, std::string_view name,
                                          const std::vector<uint64_t>& shape) {
  const StoredTensor* t = m.weights ? m.weights->find(name) : nullptr;
  if (t == nullptr) {
    return Status(StatusCode::bad_data, fmt::format("{}: tensor {} is missing", m.where, name));
  }
  if (t->shape != shape || !dtype_info(t->dtype).floating) {
    return Status(
        StatusCode::bad_data,
        fmt::format("{}: {} is {} {} and should be {} of floating point", m.where, name,
                    dtype_name(t->dtype), shape_to_string(t->shape), shape_to_string(shape)));
  }
  return t;
}

Result<EmbeddingModule> pack_module(const SentenceModule& m, int64_t width,
                                    const Backend& backend) {
  EmbeddingModule packed;
  const auto in = static_cast<uint64_t>(m.in_features), out = static_cast<uint64_t>(m.out_features);
  if (m.kind != SentenceModule::Kind::normalize && m.in_features != width) {
    return Status(StatusCode::bad_data,
                  fmt::format("{}: reads {} features, but what comes before gives {}", m.where,
                              m.in_features, width));
  }
  if (m.kind == SentenceModule::Kind::dense) {
    packed.kind = EmbeddingModule::Kind::dense;
    ETTIN_ASSIGN_OR_RETURN(packed.activation, module_activation(m));
    ETTIN_ASSIGN_OR_RETURN(const StoredTensor* const weight,
                           module_tensor(m, "linear.weight", {out, in}));
    MatrixSource source{{weight}, {}};
    // What other tools' formats are is not for matrices that they did not store.
    if (backend.format() > WeightFormat::q4) source.format = WeightFormat::f32;
    if (m.bias) {
      ETTIN_ASSIGN_OR_RETURN(const StoredTensor* const bias,
                             module_tensor(m, "linear.bias", {out}));
      source.bias_blocks = {bias};
    }
    packed.dense = backend.pack_matrix(source, MatrixUse::linear);
  } else if (m.kind == SentenceModule::Kind::layer_norm) {
    packed.kind = EmbeddingModule::Kind::layer_norm;
    ETTIN_ASSIGN_OR_RETURN(const StoredTensor* const gain, module_tensor(m, "norm.weight", {in}));
    ETTIN_ASSIGN_OR_RETURN(const StoredTensor* const bias, module_tensor(m, "norm.bias", {in}));
    packed.norm = backend.pack_norm(*gain, bias, 1e-5);  // torch.nn.LayerNorm's default
  }
  return packed;
}

Result<EmbeddingSettings> load_embedding(const std::string& directory, const ModelConfig& config,
                                         const Backend& backend) {
  EmbeddingSettings settings;
  ETTIN_ASSIGN_OR_RETURN(const std::optional<SentenceModules> found,
                         read_sentence_modules(directory));
  if (!found) return settings;
  int64_t width = config.hidden_size;
  for (const SentenceModule& m : found->modules) {
    if (m.kind == SentenceModule::Kind::pooling) {
      settings.pooling = m.pooling == "cls"             ? Pooling::cls
                         : m.pooling == "last"          ? Pooling::last
                         : m.pooling == "weighted_mean" ? Pooling::weighted_mean
                                                        : Pooling::mean;
      continue;
    }
    ETTIN_ASSIGN_OR_RETURN(EmbeddingModule packed, pack_module(m, width, backend));
    if (m.kind == SentenceModule::Kind::dense) width = m.out_features;
    settings.modules.push_back(std::move(packed));
  }
  settings.prompts = found->prompts;
  settings.default_prompt = found->default_prompt;
  settings.max_length = found->max_seq_length;
  return settings;
}

// generation_config.json, else config.json, else the tokenizer; ids outside the vocabulary dropped.
Result<std::vector<int32_t>> find_eos(const std::string& directory, const HfConfig& file,
                                      const Tokenizer* tokenizer) {
  ETTIN_ASSIGN_OR_RETURN(const std::optional<GenerationConfig> generation,
                         read_generation_config(directory));
  const std::vector<int64_t>& stated = generation && !generation->eos_token_ids.empty()
                                           ? generation->eos_token_ids
                                           : file.eos_token_ids;
  std::vector<int32_t> ids;
  for (const int64_t id : stated) {
    if (id >= 0 && id < file.vocab_size) ids.push_back(static_cast<int32_t>(id));
  }
  if (ids.empty() && tokenizer != nullptr && tokenizer->eos_id()) {
    ids.push_back(*tokenizer->eos_id());
  }
  return ids;
}

// Checkpoints of one folder have one each.
std::string packed_path(const ModelFiles& files, const Backend& backend) {
  const std::string name =
      fmt::format("packed-{}-{}.ettin", format_name(backend.format()), backend.isa());
  return files.checkpoint.empty() ? join_path(files.directory, name)
                                  : fmt::format("{}.{}", files.checkpoint, name);
}

ModelInfo describe(const std::string& directory, const Network& network) {
  const ModelConfig& c = network.config;
  const Backend& b = *network.backend;
  ModelInfo info;
  info.directory = directory;
  info.kind = c.arm.name;
  info.head = head_name(c.head);
  info.parameters = parameter_count(c);
  info.layers = c.num_layers;
  info.hidden_size = c.hidden_size;
  info.intermediate_size = c.intermediate_size;
  info.attention_heads = c.num_heads;
  info.vocab_size = c.vocab_size;
  info.max_positions = c.max_positions;
  info.backend = fmt::format("{} ({})", b.name(), b.isa());
  info.dtype = format_name(b.format());
  info.threads = b.threads().size();
  return info;
}

double milliseconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start)
      .count();
}

}  // namespace

Status check_options(const ModelOptions& options) {
  return backend_options(options, WeightFormat::f32).status();
}

Result<std::shared_ptr<const Session>> Session::load(const std::string& path,
                                                     const ModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  ETTIN_ASSIGN_OR_RETURN(const ModelFiles files, locate_model(path, options.dtype));
  const std::string& directory = files.directory;
  auto session = std::make_shared<Session>();
  const AskedThetas thetas{options.global_rope_theta, options.local_rope_theta};
  ETTIN_ASSIGN_OR_RETURN(ModelSettings settings, read_settings(files, &session->warnings_, thetas));
  ModelConfig config = settings.config;
  ETTIN_RETURN_IF_ERROR(apply_options(options, &config));
  LoadOptions load;
  load.allow_extra_tensors = options.allow_extra_tensors;
  load.expand = options.expand_weights;
  WeightFormat stored = WeightFormat::f32;
  ModelOptions compute = options;
  std::optional<TensorSource> source;
  if (options.load_weights) {
    ETTIN_ASSIGN_OR_RETURN(source, open_weights(files, &settings));
    ETTIN_RETURN_IF_ERROR(follow_graph(source->graph(), &config, &session->warnings_));
    if (source->graph() != nullptr) {  // what was asked for has the last word
      ETTIN_RETURN_IF_ERROR(override_thetas(thetas, &config));
      ETTIN_RETURN_IF_ERROR(apply_options(options, &config));
    }
    // The dtype has chosen one of the ONNX files, which is computed as it is.
    if (source->graph() != nullptr && files.onnx.empty() && is_onnx_dtype(options.dtype)) {
      compute.dtype = "auto";
    }
    load.as_stored = compute.dtype == "auto";
    if (load.as_stored) {
      ETTIN_ASSIGN_OR_RETURN(stored, stored_format(config, *source, load));
    }
  }
  if (source && !format_from_name(compute.dtype) && compute.dtype != "auto") {
    return Status(StatusCode::unsupported,
                  fmt::format("{}: dtype {:.40} is one of ONNX files, and the weights are not",
                              directory, options.dtype),
                  "choose auto, fp32, bf16, q8 (or int8) or q4");
  }
  ETTIN_ASSIGN_OR_RETURN(const std::shared_ptr<const Backend> backend,
                         open_backend(compute, stored));
  session->alone_ = compute.int8_scales == "sequence" && backend->format() == WeightFormat::int8 &&
                    !options.exact_activations;
  if (options.keep_packed) {
    load.packed_file = packed_path(files, *backend);
  }
  ETTIN_ASSIGN_OR_RETURN(session->tokenizer_,
                         load_tokenizer(directory, config, options, &session->warnings_));
  if (options.load_weights) {
    ETTIN_ASSIGN_OR_RETURN(session->embedding_, load_embedding(directory, config, *backend));
  }
  ETTIN_ASSIGN_OR_RETURN(session->eos_ids_,
                         find_eos(directory, settings.file, session->tokenizer_.get()));
  if (!options.load_weights) {
    session->network_.config = std::move(config);
    session->network_.backend = backend;
  } else {
    ETTIN_ASSIGN_OR_RETURN(session->network_, build_network(std::move(config), backend, *source,
                                                            load, &session->warnings_));
  }
  session->max_tokens_ = session->config().max_positions;
  if (session->tokenizer_ && session->tokenizer_->model_max_length()) {
    session->max_tokens_ = std::min(session->max_tokens_, *session->tokenizer_->model_max_length());
  }
  session->info_ = describe(files.path(), session->network_);
  session->info_.load_ms = milliseconds_since(start);
  for (const std::string& warning : session->warnings_) log_warning(warning);
  return std::shared_ptr<const Session>(std::move(session));
}

Result<std::shared_ptr<const Session>> Session::random(std::string_view size, bool decoder,
                                                       uint64_t seed, const ModelOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  ETTIN_ASSIGN_OR_RETURN(ModelConfig config, published_config(size, decoder ? kDecoder : kEncoder));
  ETTIN_RETURN_IF_ERROR(apply_options(options, &config));
  ETTIN_RETURN_IF_ERROR(
      override_thetas({options.global_rope_theta, options.local_rope_theta}, &config));
  ETTIN_ASSIGN_OR_RETURN(const std::shared_ptr<const Backend> backend,
                         open_backend(options, WeightFormat::f32));
  auto session = std::make_shared<Session>();
  const TensorSource source = random_tensors(config, seed);
  ETTIN_ASSIGN_OR_RETURN(session->network_, build_network(std::move(config), backend, source, {},
                                                          &session->warnings_));
  session->max_tokens_ = session->config().max_positions;
  session->info_ =
      describe(fmt::format("random {} {}", size, session->config().arm.name), session->network_);
  session->info_.load_ms = milliseconds_since(start);
  return std::shared_ptr<const Session>(std::move(session));
}

Session::Scratch::Scratch(const Session& session) : session_(session) {
  const std::lock_guard lock(session_.scratch_mutex_);
  if (session_.idle_scratch_.empty()) {
    arena_ = std::make_unique<Arena>();
  } else {
    arena_ = std::move(session_.idle_scratch_.back());
    session_.idle_scratch_.pop_back();
  }
}

Session::Scratch::~Scratch() {
  arena_->reset();
  const std::lock_guard lock(session_.scratch_mutex_);
  session_.idle_scratch_.push_back(std::move(arena_));
}

}  // namespace ettin
