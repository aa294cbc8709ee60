// ettin data build
#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "base/json.h"
#include "command.h"
#include "data/build.h"
#include "document_flags.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr int64_t kUsualSkip = 32;

class DataBuild : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] --tokenizer DIR --output DIR INPUT...",
            "Turns texts into shards of token ids that training reads (MDS). Inputs are files or "
            "folders of .txt and .jsonl, plain, .gz or .zst. A document is cut into chunks, equal "
            "documents are dropped. The output depends on inputs and options alone, not on the "
            "threads; a build that was killed goes on when it is started again.",
            {"ettin data build --tokenizer models/ettin-nano-encoder --output shards texts/",
             "ettin data build --tokenizer DIR --output DIR --documents line --max-length 512 "
             "a.txt.gz",
             "ettin data build --tokenizer DIR --output DIR --holdout 0.001 wiki.jsonl.zst"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&options_.inputs);
    flags.option("--tokenizer", "DIR", "folder with tokenizer.json", &options_.tokenizer);
    flags.option("--output", "DIR", "a new folder", &options_.out);
    documents_.add_to(flags);
    flags.option("--max-length", "C", "tokens of a sequence, special ones included",
                 &options_.chunk.max_length);
    flags.option("--min-chunk", "M",
                 "a shorter last chunk takes tokens from the one before it [half of C]",
                 &min_chunk_);
    flags.option("--skip-below", "A", "a shorter last chunk is dropped [C / 32, at most 32]",
                 &skip_below_);
    flags.option("--min-tokens", "N", "shorter documents are dropped", &options_.min_tokens);
    flags.toggle("--keep-duplicates", "keep documents that occurred before",
                 &options_.keep_duplicates);
    flags.toggle("--add-prefix-space", "put a space before each document, as the Ettin data has",
                 &options_.add_prefix_space);
    flags.option("--holdout", "SHARE",
                 "share of the documents that goes to DIR/validation; the rest goes to DIR/train",
                 &options_.holdout);
    flags.option("--seed", "N", "of the lengths that --min-chunk moves", &options_.chunk.seed);
    flags.option("--size-limit", "BYTES", "of a shard before compression", &size_limit_);
    flags.option("--compression", "NAME", "zstd or zstd:LEVEL; else none", &options_.compression);
    flags.list("--hash", "NAME", "a hash of each shard for the index, e.g. sha256 or xxh64",
               &options_.hashes);
    flags.option("--threads", "N", "threads; 0: the CPUs this process may run on",
                 &options_.threads);
    flags.toggle("--force", "replace what an earlier build left in DIR", &options_.force);
    flags.toggle("--json", "the statistics as one object", &json);
  }

  Status run(Console& console) override {
    if (options_.tokenizer.empty() || options_.out.empty()) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("data build needs {}",
                                options_.tokenizer.empty() ? "--tokenizer DIR" : "--output DIR"),
                    fmt::format("{} data build --help shows examples", program));
    }
    options_.boundary = documents_.boundary();
    options_.text_key = documents_.text_key;
    const int64_t c = options_.chunk.max_length;
    options_.chunk.min_length = min_chunk_.value_or(c / 2);
    options_.chunk.skip_below = skip_below_.value_or(std::min(kUsualSkip, c / 32));
    ETTIN_ASSIGN_OR_RETURN(options_.size_limit, parse_size(size_limit_));
    options_.on_progress = [&](uint64_t documents, uint64_t chunks) {
      console.draw_progress(fmt::format("{} documents, {} chunks", documents, chunks));
    };
    ETTIN_ASSIGN_OR_RETURN(const BuildReport report, build_dataset(options_));
    console.draw_progress("");
    if (json) {
      console.line(dump_json(report.stats));
      return {};
    }
    const auto number = [&](const char* key) {
      return with_commas(report.stats[key].get<int64_t>());
    };
    if (report.resumed) console.notice("an unfinished build was continued");
    console.line(fmt::format("{} documents, of them {} duplicates and {} too short",
                             number("documents"), number("duplicates"), number("too_short")));
    for (const auto& [name, set] : report.stats["sets"].items()) {
      console.line(fmt::format(
          "{}: {} documents, {} chunks, {} tokens, {} shards, {}", name,
          with_commas(set["documents"].get<int64_t>()), with_commas(set["chunks"].get<int64_t>()),
          with_commas(set["tokens"].get<int64_t>()), with_commas(set["shards"].get<int64_t>()),
          readable_bytes(set["bytes"].get<double>())));
      if (set["documents"] == 0) {
        console.notice(fmt::format("{}: no document fell to it; a document is {}", name,
                                   documents_.documents == "file"
                                       ? "a whole file, unless --documents says otherwise"
                                       : "what --documents says: try another --holdout"));
      }
    }
    return {};
  }

 private:
  // "64mb": suffixes are powers of 1024, as in the original.
  static Result<uint64_t> parse_size(const std::string& text) {
    uint64_t value = 0;
    size_t at = 0;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9' && value < uint64_t{1} << 40;
         ++at)
      value = value * 10 + static_cast<uint64_t>(text[at] - '0');
    const std::string suffix = text.substr(at);
    const int shift = suffix.empty() ? 0 : suffix == "kb" ? 10 : suffix == "mb" ? 20 : 30;
    if (at > 0 && (shift < 30 || suffix == "gb") && value > 0 && value <= UINT32_MAX >> shift) {
      return value << shift;
    }
    return Status(StatusCode::invalid_argument,
                  fmt::format("--size-limit: \"{:.40}\" is no size of a shard", text),
                  "give bytes, or 512kb, 64mb, 1gb; less than 4gb");
  }

  BuildOptions options_;
  DocumentFlags documents_;
  std::string size_limit_ = "64mb";
  std::optional<int64_t> min_chunk_, skip_below_;
};

}  // namespace

std::unique_ptr<Command> make_data_build() { return std::make_unique<DataBuild>(); }

}  // namespace ettin::cli
