// ettin: every model of the Ettin family, encoder or decoder, from a folder to answers.
//
//   auto model = ettin::Model::load("models/ettin-nano-encoder");
//   if (!model.ok()) { std::cerr << model.status().to_string(); return 1; }
//   auto answers = model->fill_mask({{"The capital of France is [MASK]."}});
//   std::cout << (*answers)[0].masks[0][0].token_str;   // " Paris"
//
// A Model is immutable after load; copies share it, and every const member may be called from many
// threads at once. An answer does not depend on what else is in the same call, on other calls, or
// on the number of threads: not in a single bit. Answers come in the order of the inputs. A task
// that does not fit the model (a decoder asked to fill a mask) is an error that names another.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"
#include "ettin/tasks.h"
#include "ettin/version.h"

namespace ettin {

class Session;  // the engine behind the facade: src/infer/session.h, not installed

struct ModelOptions {
  std::string backend = "cpu";  // "cpu", or "ref": slow, the definition of correctness
  // What matrices are rounded to and multiplied in: "fp32", "bf16", "q8" (or "int8"), "q4"; "fp64"
  // with ref. "auto": what the file stores where it is quantised or bf16, else fp32. Errors of each
  // format: src/tensor/weight_format.h and `ettin quantize --report`. In a folder of ONNX files it
  // names one of them, also "fp16", "uint8", "q4f16" ("auto": the first of these that is there),
  // and the weights are computed as that file stores them.
  std::string dtype = "auto";
  // bf16, q8, q4: multiply the rounded weights by fp32 rows, as weight-only quantisation does.
  bool exact_activations = false;
  // ONNX: expand int8 and 4-bit weights to fp32 when they are loaded.
  bool expand_weights = false;
  // ONNX int8: what is multiplied by integer weights is rounded to 8 bits with one scale for each
  // "token", so that an answer does not depend on the rest of its text, or for each "sequence", as
  // ONNX Runtime does at batch size 1: its numbers, slower. Inputs share no pass then.
  std::string int8_scales = "token";
  int threads = 0;  // 0: the CPUs this process may run on
  // Decoders only: the keys a local layer sees, itself included. 64 is what transformers computes,
  // 65 what the published training computed.
  std::optional<int64_t> causal_window_keys;
  // Replace what config.json says or what follows from the training phase of a checkpoint.
  std::optional<double> global_rope_theta, local_rope_theta;
  // Decoders only: append [SEP] after the text as the serialized tokenizer template does.
  bool serialized_template = false;
  bool allow_extra_tensors = false;  // otherwise a tensor that nothing uses is an error
  // Keeps the packed weights in a file of the model's folder, packed-FORMAT-ISA.ettin, which later
  // loads map instead of packing: quicker, and processes share its memory. It is checked before
  // use, made anew when the model changed or it is damaged, and may be deleted at any time.
  bool keep_packed = false;
  // Without weights only tokenize() and detokenize() work, and loading is quick at any size.
  bool load_weights = true;
  bool offline = false;  // a model that is named comes from the cache or not at all
};

// Facts about a loaded model.
struct ModelInfo {
  std::string directory;   // or the path of a training checkpoint
  std::string kind;        // "encoder" or "decoder"
  std::string head;        // "language_model", "sequence_classification",
                           // "token_classification" or "none"
  int64_t parameters = 0;  // tied matrices counted once
  int64_t layers = 0;
  int64_t hidden_size = 0;
  int64_t intermediate_size = 0;
  int64_t attention_heads = 0;
  int64_t vocab_size = 0;
  int64_t max_positions = 0;
  std::string backend;  // with its instruction set, "cpu (AVX3)"
  std::string dtype;
  int threads = 0;
  double load_ms = 0;
};

// Ids in, hidden states and logits out: for tests and tools.
struct ForwardInput {
  std::vector<int32_t> input_ids;
  // Rows whose logits are wanted; empty optional: all rows.
  std::optional<std::vector<int64_t>> logit_rows;
};

struct ForwardOutput {
  std::vector<float> hidden;  // [tokens, hidden_size], after the final norm
  std::vector<float> logits;  // [rows, vocab_size or labels]; empty when the model has no head
  int64_t tokens = 0;
  int64_t logit_rows = 0;
  int64_t logit_cols = 0;
};

class Model {
 public:
  // Loads config.json, weights and tokenizer.json of a Hugging Face model directory; or a training
  // checkpoint "path/ep0-ba5996-rank0.pt", the newest of a folder of such, or "folder@ba5996"
  // (docs/checkpoints.md); or of a name:
  // "ettin-encoder-32m", "org/name" or "org/name@revision" of the hub, from the cache that Python's
  // huggingface_hub uses too. What the cache lacks is fetched, with a notice on standard error.
  static Result<Model> load(const std::string& model, const ModelOptions& options = {});
  // A model of a published size ("17m" ... "1b") with random weights and no tokenizer: for timing.
  static Result<Model> random(std::string_view size, bool decoder, uint64_t seed,
                              const ModelOptions& options = {});

  const ModelInfo& info() const;
  bool is_decoder() const;

  Result<std::vector<FillMaskResult>> fill_mask(std::span<const TextInput> inputs,
                                                const FillMaskOptions& options = {}) const;
  Result<std::vector<GenerateResult>> generate(std::span<const TextInput> prompts,
                                               const GenerateOptions& options = {},
                                               const GenerateCallback& callback = {}) const;
  Result<EmbedResult> embed(std::span<const TextInput> inputs,
                            const EmbedOptions& options = {}) const;
  Result<std::vector<ScoreResult>> score(std::span<const TextInput> inputs,
                                         const ScoreOptions& options = {}) const;
  Result<std::vector<ClassifyResult>> classify(std::span<const TextInput> inputs,
                                               const ClassifyOptions& options = {}) const;
  Result<std::vector<TokenClassifyResult>> token_classify(
      std::span<const TextInput> inputs, const TokenClassifyOptions& options = {}) const;
  Result<TokenizeResult> tokenize(const TextInput& input, bool add_special_tokens = true) const;
  Result<std::string> detokenize(std::span<const int32_t> ids, bool skip_special_tokens) const;
  Result<std::vector<ForwardOutput>> forward(std::span<const ForwardInput> inputs) const;

  // Braced lists of inputs: model.fill_mask({{"a [MASK]"}, {"b [MASK]"}}).
  auto fill_mask(std::initializer_list<TextInput> in, const FillMaskOptions& o = {}) const {
    return fill_mask(std::span(in.begin(), in.size()), o);
  }
  auto generate(std::initializer_list<TextInput> in, const GenerateOptions& o = {},
                const GenerateCallback& c = {}) const {
    return generate(std::span(in.begin(), in.size()), o, c);
  }
  auto embed(std::initializer_list<TextInput> in, const EmbedOptions& o = {}) const {
    return embed(std::span(in.begin(), in.size()), o);
  }
  auto score(std::initializer_list<TextInput> in, const ScoreOptions& o = {}) const {
    return score(std::span(in.begin(), in.size()), o);
  }
  auto classify(std::initializer_list<TextInput> in, const ClassifyOptions& o = {}) const {
    return classify(std::span(in.begin(), in.size()), o);
  }

  const Session& session() const { return *session_; }

 private:
  explicit Model(std::shared_ptr<const Session> session) : session_(std::move(session)) {}
  std::shared_ptr<const Session> session_;
};

}  // namespace ettin
