// ettin convert
#include <array>
#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "base/json.h"
#include "command.h"
#include "infer/convert.h"
#include "infer/onnx/export.h"
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

Result<std::optional<Dtype>> parse_dtype(const std::string& text) {
  if (text == "auto") return std::optional<Dtype>();
  if (text == "fp32") return std::optional(Dtype::f32);
  if (text == "fp16") return std::optional(Dtype::f16);
  if (text == "bf16") return std::optional(Dtype::bf16);
  return Status(StatusCode::invalid_argument,
                fmt::format("--dtype \"{:.80}\" is no type that safetensors are written in", text),
                "choose one of: auto, fp32, fp16, bf16");
}

// "fp32,q8": in the order of the table, each once. "auto" is empty: all that can be.
Result<std::vector<OnnxFormat>> parse_onnx_formats(const std::string& text) {
  std::vector<OnnxFormat> formats;
  if (text == "auto") return formats;
  std::string names = text + ",", known;
  for (const OnnxFormatInfo& info : kOnnxFormats) {
    const std::string name = fmt::format("{},", info.name);
    known += known.empty() ? info.name : fmt::format(", {}", info.name);
    bool wanted = false;
    for (size_t at = 0; (at = names.find(name, at)) != std::string::npos;) {
      if (at > 0 && names[at - 1] != ',') {
        ++at;
        continue;
      }
      names.erase(at, name.size());
      wanted = true;
    }
    if (wanted) formats.push_back(info.format);
  }
  if (names.empty()) return formats;
  names.pop_back();
  return Status(StatusCode::invalid_argument,
                fmt::format("--dtype \"{:.80}\" is no type that ONNX files are written in", names),
                fmt::format("give auto, or a list of: {}", known));
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
        "the reverse. --format onnx writes onnx/model.onnx and its like for ONNX Runtime and "
        "transformers.js, one file for each type.",
        {"ettin convert small large --dtype fp32", "ettin convert DIR shards --shard-size 500MB",
         "ettin convert ettin-encoder-32m start --as decoder",
         "ettin convert ettin-encoder-32m web --format onnx --dtype fp32,q8",
         "ettin convert pretrain/ep0-ba5996-rank0.pt step5996"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&folders_, 2);
    flags.choice("--format", {"safetensors", "onnx"}, "what to write", &format_);
    flags.option("--dtype", "TYPES",
                 "safetensors: auto, fp32, fp16 or bf16; auto: the model's own, else fp32. onnx: "
                 "auto or a list of fp32, fp16, q8, q4 and q4f16; auto: all",
                 &dtype_);
    flags.choice("--style", {"fused", "portable"},
                 "onnx: com.microsoft's operators, or the standard's alone", &style_);
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
    if (format_ == "onnx") return run_onnx(console, from, folders_[1]);
    return run_safetensors(console, from, folders_[1]);
  }

 private:
  Status run_safetensors(Console& console, const std::string& from, const std::string& to) {
    ConvertOptions options;
    ETTIN_ASSIGN_OR_RETURN(options.shard_bytes, parse_size(shard_size_));
    if (style_ != "fused") return only_for("--style", "onnx");
    ETTIN_ASSIGN_OR_RETURN(options.dtype, parse_dtype(dtype_));
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

  Status run_onnx(Console& console, const std::string& from, const std::string& to) {
    if (kind_ != "same") return only_for("--as", "safetensors");
    if (shard_size_ != kShardSize) return only_for("--shard-size", "safetensors");
    OnnxExportOptions options;
    ETTIN_ASSIGN_OR_RETURN(options.formats, parse_onnx_formats(dtype_));
    options.thetas = {model_.global_rope_theta, model_.local_rope_theta};
    options.style = style_ == "portable" ? OnnxStyle::portable : OnnxStyle::fused;
    options.force = force_;
    std::vector<std::string> warnings;
    console.draw_progress(fmt::format("writing {}", to));
    const Result<std::vector<OnnxFile>> files = export_onnx(from, to, options, &warnings);
    console.draw_progress("");
    for (const std::string& warning : warnings) console.notice(warning);
    ETTIN_RETURN_IF_ERROR(files.status());
    if (json) {
      Json facts = {{"model", from}, {"output", to}, {"format", "onnx"}, {"style", style_}};
      facts["files"] = Json::array();
      for (const OnnxFile& file : *files) {
        facts["files"].push_back({{"dtype", onnx_format_info(file.format).name},
                                  {"file", file.path},
                                  {"data_files", file.parts},
                                  {"bytes", file.bytes}});
      }
      console.line(dump_json(facts));
      return {};
    }
    console.line(console.out(Style::bold, printable(to)));
    for (const OnnxFile& file : *files) {
      console.line(fmt::format("  {:<8}  {:<27}  {}", onnx_format_info(file.format).name, file.path,
                               readable_bytes(static_cast<double>(file.bytes))));
    }
    return {};
  }

  static Status only_for(std::string_view flag, std::string_view format) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("{} goes with --format {} only", flag, format),
                  fmt::format("leave {} out, or choose --format {}", flag, format));
  }

  static void show(Console& console, const Json& facts) {
    console.line(console.out(Style::bold, printable(facts.value("output", ""))));
    const Json& layers = facts["formats"]["layers"];
    console.line(fmt::format("  kind      {}", facts.value("kind", "")));
    console.line(fmt::format("  weights   {}, {}", readable_bytes(facts.value("bytes", 0.0)),
                             layers.is_string() ? layers.get<std::string>() : "none"));
    console.line(fmt::format("  original  {}", readable_bytes(facts.value("original_bytes", 0.0))));
  }

  std::vector<std::string> folders_;
  static constexpr const char* kShardSize = "5GB";
  std::string format_ = "safetensors", dtype_ = "auto", kind_ = "same", style_ = "fused";
  std::string shard_size_ = kShardSize;
  bool force_ = false;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_convert() { return std::make_unique<Convert>(); }

}  // namespace ettin::cli
