// ettin inspect
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "command.h"
#include "infer/inspect.h"
#include "model_flags.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

// A value for a reader: no quotes, numbers with commas, lists and objects on one line.
std::string value_text(const Json& value) {
  if (value.is_string()) return printable(value.get<std::string>());
  if (value.is_null()) return "none";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number_unsigned()) {
    return with_commas(
        static_cast<long long>(std::min<uint64_t>(value.get<uint64_t>(), INT64_MAX)));
  }
  if (value.is_number_integer()) return with_commas(value.get<int64_t>());
  if (value.is_number()) return fmt::format("{}", value.get<double>());
  std::string out;
  for (const auto& item : value.items()) {
    if (!out.empty()) out += ", ";
    out += value.is_object() ? fmt::format("{} {}", value_text(item.value()), printable(item.key()))
                             : value_text(item.value());
  }
  return out.empty() ? "none" : out;
}

std::string key_text(std::string key) {
  std::replace(key.begin(), key.end(), '_', ' ');
  return key;
}

class Inspect : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] [MODEL]",
            "Reads a model folder, a training checkpoint or an ONNX file and shows what it holds: "
            "kind, sizes, "
            "layer pattern (G global, l local), rope thetas and why they are these, tensors, "
            "tokenizer, and the SHA-256 of every file. Tensors are checked against config.json. Of "
            "a folder of checkpoints it lists all and shows the newest.",
            {"ettin inspect", "ettin inspect ettin-nano-decoder",
             "ettin inspect --json DIR | jq .attention", "ettin inspect pretrain@ba5996"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&models_, 1);
    flags.toggle("--json", "the whole report as one object", &json);
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    std::string wanted = model_.model.empty() ? std::string(kDefaultEncoder) : model_.model;
    if (!models_.empty()) wanted = models_[0];
    ETTIN_ASSIGN_OR_RETURN(const std::string directory,
                           find_model(console, wanted, model_.options()));
    console.draw_progress(fmt::format("reading {}", directory));
    const Result<Json> report = inspect_model(directory, model_.options());
    console.draw_progress("");
    if (!report.ok()) return report.status();
    if (json) {
      console.line(dump_json(*report));
    } else {
      show(console, *report);
    }
    return {};
  }

 private:
  static void show(Console& console, const Json& report) {
    bool first = true;
    for (const auto& section : report.items()) {
      const Json& content = section.value();
      if (content.is_null() || (content.is_array() && content.empty())) continue;
      if (!first) console.line();
      first = false;
      console.line(console.out(Style::bold, key_text(section.key())));
      if (section.key() == "files") {
        show_files(console, content);
      } else if (section.key() == "trail") {
        show_trail(console, content);
      } else if (content.is_array()) {
        for (const Json& entry : content) console.line(fmt::format("  {}", value_text(entry)));
      } else {
        show_section(console, content);
      }
    }
  }

  static void show_section(Console& console, const Json& section) {
    constexpr int kKeyColumns = 22;
    for (const auto& item : section.items()) {
      std::string text = value_text(item.value());
      if (item.key() == "bytes" && item.value().is_number()) {
        text += fmt::format(" ({})", readable_bytes(item.value().get<double>()));
      } else if (item.key() == "parameters" && item.value().is_number()) {
        text += fmt::format(" ({})", readable_count(item.value().get<double>()));
      } else if (item.key().ends_with("_id") && item.value().is_number_integer()) {
        text = fmt::format("{}", item.value().get<int64_t>());  // a name, not an amount
      }
      const std::vector<std::string> lines = wrap(text, console.width() - kKeyColumns - 2);
      for (size_t i = 0; i < lines.size(); ++i) {
        console.line(fmt::format(
            "  {}{}", pad_right(i == 0 ? key_text(item.key()) : "", kKeyColumns), lines[i]));
      }
    }
  }

  static void show_trail(Console& console, const Json& trail) {
    for (const Json& entry : trail) {
      const Json& batch = entry["batch"];
      console.line(fmt::format(
          "  {}  {}  {}{}", pad_right(printable(entry.value("file", "")), 28),
          pad_right(batch.is_null() ? "" : fmt::format("batch {}", batch.get<int64_t>()), 14),
          entry.value("phase", ""), entry.value("taken", false) ? ", shown here" : ""));
    }
  }

  static void show_files(Console& console, const Json& files) {
    for (const Json& file : files) {
      const std::string path = file.value("path", "");
      console.line(fmt::format("  {}  {}", printable(path.substr(path.rfind('/') + 1)),
                               readable_bytes(file.value("bytes", 0.0))));
      console.line(console.out(Style::dim, fmt::format("    sha256 {}", file.value("sha256", ""))));
    }
  }

  std::vector<std::string> models_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_inspect() { return std::make_unique<Inspect>(); }

}  // namespace ettin::cli
