// ettin embed
#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <optional>

#include "command.h"
#include "formats/npy.h"
#include "model_flags.h"
#include "text_layout.h"
#include "text_task.h"

namespace ettin::cli {
namespace {

struct Vector {
  std::vector<float> values;
  int64_t num_tokens = 0;
  bool truncated = false;
};

// The double with the fewest digits that reads back as the same float: 0.1, not 0.10000000149.
double shortest(float value) {
  if (!std::isfinite(value)) return static_cast<double>(value);
  char text[32];
  const auto end = std::to_chars(text, text + sizeof(text), value).ptr;
  double number = 0;
  std::from_chars(text, end, number);
  return number;
}

Json answer_json(const Vector& vector) {
  Json values = Json::array();
  for (const float v : vector.values) values.push_back(shortest(v));
  Json answer = {{"embedding", std::move(values)}, {"num_tokens", vector.num_tokens}};
  if (vector.truncated) answer["truncated"] = true;
  return answer;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  }
  return sum;
}

double cosine(const std::vector<float>& a, const std::vector<float>& b) {
  const double lengths = std::sqrt(dot(a, a) * dot(b, b));
  return lengths > 0 ? dot(a, b) / lengths : 0;
}

class Embed : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] TEXT...",
            "Turns each text into one vector: the pooled last hidden states, and what a "
            "sentence-transformers folder puts behind them. Without --json or --output it shows "
            "how similar the texts are.",
            {"ettin embed \"a violin\" \"a fiddle\" \"a hammer\"",
             "ettin embed --input texts.jsonl --output vectors.npy",
             "ettin embed --pooling cls --normalize --json \"a violin\""}};
  }

  void add_flags(Flags& flags) override {
    flags.choice("--pooling", {"auto", "mean", "cls", "last", "weighted_mean"},
                 "auto: what the model folder says, else mean", &pooling_);
    flags.toggle("--normalize", "scale each vector to length 1", &normalize_);
    flags.toggle("--no-normalize", "do not, even if the model folder says so", &no_normalize_);
    flags.option("--prompt-name", "NAME", "put a named prompt of the model before each text",
                 &options_.prompt_name);
    flags.option("--output", "FILE", "write the vectors as a NumPy .npy file, float32", &output_);
    flags.toggle("--json",
                 "an object with embedding and num_tokens for each text; with --output, one with "
                 "output, rows and dimensions",
                 &json);
    texts_.add_to(flags, {});
    model_.add_to(flags, kDefaultEncoder);
  }

  Status run(Console& console) override {
    if (normalize_ && no_normalize_) {
      return Status(StatusCode::invalid_argument,
                    "--normalize and --no-normalize exclude each other", "leave one of them out");
    }
    ETTIN_ASSIGN_OR_RETURN(const Model model, model_.load(console, kDefaultEncoder));
    options_.over_length = texts_.over_length();
    if (pooling_ != "auto") options_.pooling = pooling_;
    if (normalize_ || no_normalize_) options_.normalize = normalize_;
    std::optional<NpyWriter> file;
    if (!output_.empty()) {
      ETTIN_ASSIGN_OR_RETURN(NpyWriter created, NpyWriter::create(output_));
      file.emplace(std::move(created));
    }
    TextTask<Vector> task;
    task.compute = [&](auto inputs) { return compute(model, inputs); };
    task.cut_to = cut_to<Vector>;
    if (file) {
      task.store = [&](const Vector& vector) {
        return file->add(vector.values, static_cast<int64_t>(vector.values.size()));
      };
    }
    if (json) task.to_json = answer_json;
    task.show = [&](const Record& record, const Vector& vector) { show(console, record, vector); };
    ETTIN_RETURN_IF_ERROR(run_text_task(console, texts_, task));
    if (!file) return {};
    ETTIN_RETURN_IF_ERROR(file->finish());
    if (json) {
      console.line(dump_json(
          {{"output", output_}, {"rows", file->rows()}, {"dimensions", file->columns()}}));
    } else if (console.err_is_terminal()) {
      console.notice(fmt::format("{}: {} vectors of {} numbers", output_, with_commas(file->rows()),
                                 file->columns()));
    }
    return {};
  }

 private:
  Result<std::vector<Vector>> compute(const Model& model, std::span<const TextInput> inputs) const {
    ETTIN_ASSIGN_OR_RETURN(const EmbedResult result, model.embed(inputs, options_));
    std::vector<Vector> vectors;
    for (size_t row = 0; row < inputs.size(); ++row) {
      const auto begin = result.values.begin() + static_cast<int64_t>(row) * result.dimensions;
      vectors.push_back(
          {{begin, begin + result.dimensions}, result.num_tokens[row], result.truncated[row]});
    }
    return vectors;
  }

  // Numbers say nothing to a reader; the likeness to the texts before does.
  void show(Console& console, const Record& record, const Vector& vector) {
    constexpr size_t kCompared = 8;
    constexpr int kBarColumns = 24;
    const int text_columns = std::max(20, console.width() - kBarColumns - 16);
    console.line(fmt::format(
        "{}  {}",
        console.out(Style::bold,
                    shorten(printable(record.input.text), text_columns, console.utf8())),
        console.out(Style::dim, fmt::format("{} numbers, length {:.3f}", vector.values.size(),
                                            std::sqrt(dot(vector.values, vector.values))))));
    for (const auto& [text, values] : before_) {
      const double likeness = cosine(values, vector.values);
      console.line(fmt::format(
          "  {:6.3f}  {}  {}", likeness,
          console.out(Style::green,
                      pad_right(bar(likeness, kBarColumns, console.utf8()), kBarColumns)),
          shorten(text, text_columns, console.utf8())));
    }
    if (before_.size() < kCompared)
      before_.emplace_back(printable(record.input.text), vector.values);
  }

  std::string pooling_ = "auto";
  bool normalize_ = false, no_normalize_ = false;
  std::string output_;
  EmbedOptions options_;
  std::vector<std::pair<std::string, std::vector<float>>> before_;
  TextFlags texts_;
  ModelFlags model_;
};

}  // namespace

std::unique_ptr<Command> make_embed() { return std::make_unique<Embed>(); }

}  // namespace ettin::cli
