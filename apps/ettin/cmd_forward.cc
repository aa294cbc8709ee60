// ettin forward
#include <fmt/format.h>

#include <optional>

#include "base/json.h"
#include "command.h"
#include "formats/safetensors.h"
#include "line_source.h"
#include "model_flags.h"

namespace ettin::cli {
namespace {

// An array of whole numbers of type T appended to *out.
template <class T>
Status read_numbers(const Json& list, std::string_view key, std::vector<T>* out) {
  const Status bad(StatusCode::invalid_argument,
                   fmt::format("\"{}\" is not an array of whole numbers", key),
                   "each line is an object like {\"input_ids\": [310, 450], \"logit_rows\": [1]}");
  if (!list.is_array()) return bad;
  for (const Json& number : list) {
    if (!number.is_number_integer()) return bad;
    const auto value = number.get<int64_t>();
    if (value < 0 || value > INT32_MAX) return bad;
    out->push_back(static_cast<T>(value));
  }
  return {};
}

class Forward : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] --output FILE [IDS]",
            "Runs token ids through a model, for tests and tools. Input are JSON lines "
            "{\"input_ids\": [...], \"logit_rows\": [...]}; logit_rows, the positions whose logits "
            "are wanted, may be missing: all. Output is a safetensors file with hidden.N "
            "[tokens, hidden size] and logits.N [rows, vocabulary], N counting the lines from 0. "
            "All results are held in memory until the file is written.",
            {"ettin forward --output out.safetensors '{\"input_ids\": [8188, 310, 450, 8189]}'",
             "ettin forward --input ids.jsonl --no-logits --output out.safetensors"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&objects_);
    flags.option("--output", "FILE", "the safetensors file to write", &output_);
    flags.option("--input", "FILE", "JSON lines; - is standard input", &input_);
    flags.toggle("--no-logits", "hidden states only", &no_logits_);
    flags.toggle("--json", "an object with output and inputs when done", &json);
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    if (objects_.size() == 1 && objects_[0] == "-" && input_.empty()) {
      input_ = objects_[0];
      objects_.clear();
    }
    if (output_.empty()) {
      return Status(StatusCode::invalid_argument, "--output is missing",
                    "name the safetensors file to write");
    }
    if (objects_.empty() == input_.empty()) {
      return Status(
          StatusCode::invalid_argument,
          input_.empty() ? "no ids are given" : "ids are given both as arguments and by --input",
          "give JSON objects, or --input FILE, or - for standard input");
    }
    std::vector<ForwardInput> inputs;
    ETTIN_RETURN_IF_ERROR(read_inputs(&inputs));
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load(console, kDefaultEncoder));
    ETTIN_ASSIGN_OR_RETURN(const std::vector<ForwardOutput> outputs, model.forward(inputs));
    ETTIN_RETURN_IF_ERROR(write(model.info(), outputs));
    if (json) console.line(dump_json({{"output", output_}, {"inputs", inputs.size()}}));
    return {};
  }

 private:
  Status read_inputs(std::vector<ForwardInput>* inputs) const {
    for (size_t i = 0; i < objects_.size(); ++i) {
      ETTIN_RETURN_IF_ERROR(add_input(objects_[i], fmt::format("argument {}", i + 1), inputs));
    }
    if (input_.empty()) return {};
    ETTIN_ASSIGN_OR_RETURN(LineSource source, LineSource::open(input_));
    for (;;) {
      ETTIN_ASSIGN_OR_RETURN(const std::optional<std::string> line, source.next());
      if (!line) return {};
      if (line->find_first_not_of(" \t") == std::string::npos) continue;
      ETTIN_RETURN_IF_ERROR(add_input(*line, source.where(), inputs));
    }
  }

  Status add_input(const std::string& text, const std::string& where,
                   std::vector<ForwardInput>* inputs) const {
    const Result<Json> object = parse_json(text, where);
    if (!object.ok()) {
      return Status(StatusCode::invalid_argument, object.status().message(),
                    "each line is an object like {\"input_ids\": [310, 450]}");
    }
    ForwardInput input;
    const Json* ids = json_member(*object, "input_ids");
    const Status read = read_numbers(ids == nullptr ? Json() : *ids, "input_ids", &input.input_ids);
    if (!read.ok()) return read.with_context(where);
    const Json* rows = json_member(*object, "logit_rows");
    if (no_logits_) {
      input.logit_rows.emplace();
    } else if (rows != nullptr && !rows->is_null()) {
      const Status status = read_numbers(*rows, "logit_rows", &input.logit_rows.emplace());
      if (!status.ok()) return status.with_context(where);
    }
    inputs->push_back(std::move(input));
    return {};
  }

  Status write(const ModelInfo& info, std::span<const ForwardOutput> outputs) const {
    std::vector<StoredTensor> tensors;
    const auto add = [&](std::string name, int64_t rows, int64_t columns,
                         std::span<const float> values) {
      tensors.push_back({std::move(name),
                         Dtype::f32,
                         {static_cast<uint64_t>(rows), static_cast<uint64_t>(columns)},
                         std::as_bytes(values)});
    };
    for (size_t i = 0; i < outputs.size(); ++i) {
      const ForwardOutput& o = outputs[i];
      add(fmt::format("hidden.{}", i), o.tokens, info.hidden_size, o.hidden);
      if (!no_logits_ && o.logit_cols > 0) {
        add(fmt::format("logits.{}", i), o.logit_rows, o.logit_cols, o.logits);
      }
    }
    return write_safetensors(output_, tensors, {{"model", info.directory}, {"kind", info.kind}});
  }

  std::vector<std::string> objects_;
  std::string output_, input_;
  bool no_logits_ = false;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_forward() { return std::make_unique<Forward>(); }

}  // namespace ettin::cli
