// ettin convert
#include <array>
#include <cmath>

#include <fmt/format.h>

#include "base/json.h"
#include "command.h"
#include "infer/convert.h"
#include "infer/quantize_report.h"
#include "model_flags.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

// "5GB", "500MB", "2GiB", or bytes.
Result<uint64_t> parse_size(const std::string& text) {
  static constexpr std::array<std::pair<std::string_view, double>, 7> kUnits = {
      {{"GiB", 1073741824},
       {"MiB", 1048576},
       {"KiB", 1024},
       {"GB", 1e9},
       {"MB", 1e6},
       {"KB", 1e3},
       {"", 1}}};
  for (const auto& [unit, factor] : kUnits) {
    if (!text.ends_with(unit)) continue;
    const std::string number = text.substr(0, text.size() - unit.size());
    char* end = nullptr;
    const double value = std::strtod(number.c_str(), &end);
    const double bytes = value * factor;
    if (number.empty() || *end != '\0' || !(bytes >= 1e5 && bytes <= 1e15)) break;
    return static_cast<uint64_t>(bytes);
  }
  return Status(StatusCode::invalid_argument,
                fmt::format("--shard-size \"{:.40}\" is not a size from 100KB to 1000000GB", text),
                "write 5GB, 500MB or 2GiB");
}

class Convert : public Command {
 public:
  CommandHelp help() const override {
    return {
        "[OPTIONS] MODEL OUT",
        "Writes a copy of a model, or of a training checkpoint, as a Hugging Face folder that "
        "transformers loads, in fp32, "
        "fp16 or bf16; q8 and q4 are expanded. With --as the copy is for the other kind's "
        "class: q, k and v in one matrix (encoder) or in three (decoder), the head's names, "
        "config.json. Not a weight changes, so an encoder's weights can start a decoder, and "
        "the reverse.",
        {"ettin convert small large --dtype fp32", "ettin convert DIR shards --shard-size 500MB",
         "ettin convert seedling-encoder start --as decoder",
         "ettin convert pretrain/ep0-ba5996-rank0.pt step5996"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&folders_, 2);
    flags.choice("--format", {"safetensors"}, "what to write", &format_);
    flags.choice("--dtype", {"auto", "fp32", "fp16", "bf16"},
                 "type of every tensor; auto: the model's own, else fp32", &dtype_);
    flags.choice("--as", {"same", "encoder", "decoder"}, "kind whose class loads the copy", &kind_);
    flags.option("--shard-size", "SIZE", "largest file of weights: 5GB, 500MB, 2GiB", &shard_size_);
    model_.add_thetas_to(flags);
    flags.toggle("--force", "replace the model in OUT", &force_);
    flags.toggle("--json", "sizes and formats as one object", &json);
  }

  Status run(Console& console) override {
    if (folders_.size() != 2) {
      return Status(StatusCode::invalid_argument, "convert needs MODEL and OUT",
                    "give the model's folder, checkpoint or name, then the folder to write");
    }
    ETTIN_ASSIGN_OR_RETURN(const std::string from, find_model(console, folders_[0]));
    const std::string& to = folders_[1];
    ConvertOptions options;
    ETTIN_ASSIGN_OR_RETURN(options.shard_bytes, parse_size(shard_size_));
    if (dtype_ == "fp32") options.dtype = Dtype::f32;
    if (dtype_ == "fp16") options.dtype = Dtype::f16;
    if (dtype_ == "bf16") options.dtype = Dtype::bf16;
    if (kind_ == "encoder") options.arm = kEncoder;
    if (kind_ == "decoder") options.arm = kDecoder;
    options.thetas = {model_.global_rope_theta, model_.local_rope_theta};
    options.force = force_;
    std::vector<std::string> warnings;
    console.draw_progress(fmt::format("writing {}", to));
    const Status status = convert_folder(from, to, options, &warnings);
    console.draw_progress("");
    for (const std::string& warning : warnings) console.notice(warning);
    ETTIN_RETURN_IF_ERROR(status);
    ETTIN_ASSIGN_OR_RETURN(const Json facts, quantization_facts(from, to));
    if (json) {
      console.line(dump_json(facts));
    } else {
      show(console, facts);
    }
    return {};
  }

 private:
  static void show(Console& console, const Json& facts) {
    console.line(console.out(Style::bold, printable(facts.value("output", ""))));
    const Json& layers = facts["formats"]["layers"];
    console.line(fmt::format("  kind      {}", facts.value("kind", "")));
    console.line(fmt::format("  weights   {}, {}", readable_bytes(facts.value("bytes", 0.0)),
                             layers.is_string() ? layers.get<std::string>() : "none"));
    console.line(fmt::format("  original  {}", readable_bytes(facts.value("original_bytes", 0.0))));
  }

  std::vector<std::string> folders_;
  std::string format_ = "safetensors", dtype_ = "auto", kind_ = "same", shard_size_ = "5GB";
  bool force_ = false;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_convert() { return std::make_unique<Convert>(); }

}  // namespace ettin::cli
