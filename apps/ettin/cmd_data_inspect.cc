// ettin data inspect
#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "command.h"
#include "data/survey.h"
#include "data/token_dataset.h"
#include "text/tokenizer.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr size_t kShownIds = 24;

class DataInspect : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] DIR",
            "Shows what a folder of MDS shards holds: columns, shards, sequences, tokens, how long "
            "the sequences are, and with --sample some of them, evenly spread over the data; with "
            "--tokenizer as text.",
            {"ettin data inspect shards", "ettin data inspect shards --sample 3 --tokenizer DIR",
             "ettin data inspect shards/validation --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&folders_, 1);
    flags.option("--sample", "N", "show so many sequences", &samples_);
    flags.option("--tokenizer", "DIR", "show them as text", &tokenizer_);
    flags.toggle("--json", "everything as one object", &json);
  }

  Status run(Console& console) override {
    if (folders_.empty() || samples_ < 0 || samples_ > 1000000) {
      return Status(StatusCode::invalid_argument,
                    folders_.empty() ? "data inspect needs a folder"
                                     : fmt::format("--sample {} is out of range", samples_),
                    "ettin data inspect DIR --sample 3");
    }
    ETTIN_ASSIGN_OR_RETURN(const DatasetSurvey survey, survey_dataset(folders_[0]));
    ETTIN_ASSIGN_OR_RETURN(const Json samples, read_samples());
    if (json) {
      Json columns = Json::object();
      for (const MdsColumn& column : survey.columns) columns[column.name] = column.encoding_name;
      Json lengths = Json::array();
      for (size_t k = 0; k < survey.lengths.size(); ++k) {
        lengths.push_back({{"from", int64_t{1} << k}, {"sequences", survey.lengths[k]}});
      }
      console.line(dump_json({{"columns", columns},
                              {"shards", survey.shards},
                              {"sequences", survey.sequences},
                              {"tokens", survey.tokens},
                              {"raw_bytes", survey.raw_bytes},
                              {"stored_bytes", survey.stored_bytes},
                              {"shortest", survey.shortest},
                              {"longest", survey.longest},
                              {"lengths", lengths},
                              {"samples", samples}}));
      return {};
    }
    show(console, survey);
    for (const Json& sample : samples) {
      console.line();
      console.line(fmt::format("{}: {} tokens", printable(sample["origin"].get<std::string>()),
                               sample["ids"].size()));
      if (sample.contains("text")) {
        console.line(printable(sample["text"].get<std::string>(), true));
      } else {
        const auto ids = sample["ids"].get<std::vector<int32_t>>();
        const size_t shown = std::min(kShownIds, ids.size());
        console.line(fmt::format("{}{}",
                                 fmt::join(ids.begin(), ids.begin() + static_cast<int>(shown), " "),
                                 shown < ids.size() ? " ..." : ""));
      }
    }
    return {};
  }

 private:
  Result<Json> read_samples() const {
    Json out = Json::array();
    if (samples_ == 0) return out;
    const DatasetPart part{folders_[0], 1};
    ETTIN_ASSIGN_OR_RETURN(const TokenDataset data,
                           TokenDataset::open(std::span(&part, 1), {}, INT32_MAX));
    std::shared_ptr<const Tokenizer> tokenizer;
    if (!tokenizer_.empty()) {
      ETTIN_ASSIGN_OR_RETURN(tokenizer, Tokenizer::load(tokenizer_));
    }
    const int64_t count = std::min(samples_, data.size());
    for (int64_t k = 0; k < count; ++k) {
      const int64_t index = data.size() / count * k + data.size() % count * k / count;
      ETTIN_ASSIGN_OR_RETURN(const std::vector<int32_t> ids, data.sequence(index, INT32_MAX));
      Json sample = {{"index", index}, {"origin", data.origin(index)}, {"ids", ids}};
      if (tokenizer) sample["text"] = tokenizer->decode(ids, false, false);
      out.push_back(std::move(sample));
    }
    return out;
  }

  static void show(Console& console, const DatasetSurvey& survey) {
    std::string columns;
    for (const MdsColumn& column : survey.columns) {
      columns += fmt::format("{}{} ({})", columns.empty() ? "" : ", ", printable(column.name),
                             column.encoding_name);
    }
    console.line(fmt::format("columns    {}", columns));
    console.line(
        fmt::format("shards     {}, {}{}", with_commas(survey.shards),
                    readable_bytes(static_cast<double>(survey.stored_bytes)),
                    survey.raw_bytes == survey.stored_bytes
                        ? std::string()
                        : fmt::format(" ({} decompressed)",
                                      readable_bytes(static_cast<double>(survey.raw_bytes)))));
    console.line(fmt::format("sequences  {}", with_commas(survey.sequences)));
    console.line(fmt::format("tokens     {}", with_commas(survey.tokens)));
    if (survey.sequences == 0) return;
    console.line(
        fmt::format("lengths    {} to {}, {:.1f} on average", with_commas(survey.shortest),
                    with_commas(survey.longest),
                    static_cast<double>(survey.tokens) / static_cast<double>(survey.sequences)));
    const int64_t most = *std::max_element(survey.lengths.begin(), survey.lengths.end());
    for (size_t k = 0; k < survey.lengths.size(); ++k) {
      if (survey.lengths[k] == 0) continue;
      console.line(
          fmt::format("  {} {} {}", pad_left(with_commas(int64_t{1} << k) + "+", 12),
                      pad_left(with_commas(survey.lengths[k]), 14),
                      bar(static_cast<double>(survey.lengths[k]) / static_cast<double>(most), 30,
                          console.utf8())));
    }
  }

  std::vector<std::string> folders_;
  int64_t samples_ = 0;
  std::string tokenizer_;
};

}  // namespace

std::unique_ptr<Command> make_data_inspect() { return std::make_unique<DataInspect>(); }

}  // namespace ettin::cli
