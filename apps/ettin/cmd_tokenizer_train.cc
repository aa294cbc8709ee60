// ettin tokenizer train
#include <fmt/format.h>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/json.h"
#include "base/thread_pool.h"
#include "command.h"
#include "data/documents.h"
#include "document_flags.h"
#include "text/pretoken_counts.h"
#include "text/tokenizer_writer.h"
#include "text/train_bpe.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr size_t kBatchBytes = size_t{16} << 20;  // of texts in memory

class TokenizerTrain : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] --output DIR FILE...",
            "Makes a byte-level BPE tokenizer of the anatomy of ModernBERT's from texts: files or "
            "folders of .txt and .jsonl, plain, .gz or .zst, as data build reads them. Vocabulary "
            "and merges are those that Hugging Face's BpeTrainer makes of the same texts, and do "
            "not depend on --threads.",
            {"ettin tokenizer train --output tokenizer texts.jsonl",
             "ettin tokenizer train --vocab-size 32768 --min-frequency 5 --output mine corpus/"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&paths_);
    flags.option("--output", "DIR", "folder for tokenizer.json and the two files beside it", &out_);
    documents_.add_to(flags);
    flags.option("--vocab-size", "N", "entries in all, added tokens included", &vocab_size_);
    flags.option("--min-frequency", "N", "pairs that occur less often are not merged",
                 &min_frequency_);
    flags.toggle("--no-space-runs", "without the tokens for 2 to 24 spaces", &no_space_runs_);
    flags.option("--model-max-length", "N", "tokens of the longest text; tokenizer_config.json",
                 &layout_.model_max_length);
    flags.toggle("--force", "replace the tokenizer in DIR", &force_);
    flags.toggle("--json", "what was made as one object", &json);
    flags.group("how to compute");
    flags.option("--threads", "N", "threads; 0: the CPUs this process may run on", &threads_);
  }

  Status run(Console& console) override {
    const auto start = std::chrono::steady_clock::now();
    layout_.space_runs = !no_space_runs_;
    ETTIN_RETURN_IF_ERROR(check_flags());
    BpeTrainOptions options = {.min_frequency = min_frequency_};
    ETTIN_ASSIGN_OR_RETURN(options.entries, bpe_entries(vocab_size_, layout_));
    ETTIN_ASSIGN_OR_RETURN(const std::vector<SourceFile> files, find_source_files(paths_));
    PretokenCounts counts(layout_.space_runs, shared_thread_pool(threads_));
    const Status read = count(files, &counts, console);
    console.draw_progress("");
    ETTIN_RETURN_IF_ERROR(read);
    ETTIN_ASSIGN_OR_RETURN(const TrainedBpe bpe, train_bpe(counts.words(), options));
    ETTIN_RETURN_IF_ERROR(write_tokenizer(out_, bpe, layout_));
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
    const int64_t entries = tokenizer_entries(bpe, layout_);
    if (entries < vocab_size_) {
      console.notice(
          fmt::format("{} entries instead of {}: no other pair occurs {} times; give "
                      "more text{}",
                      entries, vocab_size_, min_frequency_,
                      min_frequency_ > 1 ? " or a smaller --min-frequency" : ""));
    }
    const int64_t tokens = bpe.token_count + counts.space_runs();
    const double bytes_per_token =
        static_cast<double>(counts.bytes()) / static_cast<double>(tokens);
    if (json) {
      console.line(dump_json({{"output", out_},
                              {"entries", entries},
                              {"merges", bpe.merges.size()},
                              {"files", files.size()},
                              {"bytes", counts.bytes()},
                              {"words", counts.words().size()},
                              {"tokens", tokens},
                              {"bytes_per_token", bytes_per_token},
                              {"seconds", seconds.count()}}));
      return {};
    }
    console.line(console.out(Style::bold, printable(out_)));
    console.line(fmt::format("  entries   {}, {} merges", entries, bpe.merges.size()));
    console.line(fmt::format("  text      {}, {} distinct words",
                             readable_bytes(static_cast<double>(counts.bytes())),
                             counts.words().size()));
    console.line(fmt::format("  tokens    {}, {:.3f} bytes each", tokens, bytes_per_token));
    console.line(fmt::format("  time      {:.2f} s", seconds.count()));
    return {};
  }

 private:
  Status check_flags() const {
    if (out_.empty()) {
      return Status(StatusCode::invalid_argument, "no folder to write into is given",
                    "add --output DIR");
    }
    if (paths_.empty()) {
      return Status(StatusCode::invalid_argument, "no text is given",
                    "name .txt or .jsonl files, or folders of them");
    }
    if (file_exists(out_)) {
      return Status(StatusCode::invalid_argument, out_ + ": is a file, not a folder",
                    "choose another folder to write into");
    }
    if (layout_.model_max_length < 1) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("--model-max-length is {}", layout_.model_max_length),
                    "give 1 or more");
    }
    if (!force_ && file_exists(join_path(out_, "tokenizer.json"))) {
      return Status(StatusCode::invalid_argument, out_ + ": has a tokenizer.json already",
                    "choose another folder, or replace it with --force");
    }
    return {};
  }

  Status count(const std::vector<SourceFile>& files, PretokenCounts* counts, Console& console) {
    DocumentReader reader(files, documents_.boundary(), documents_.text_key);
    std::vector<std::string> batch;
    size_t bytes = 0;
    for (bool more = true; more;) {
      Result<std::optional<Document>> document = reader.next();
      if (!document.ok()) return document.status();
      more = document->has_value();
      if (more) {
        bytes += (*document)->text.size();
        batch.push_back(std::move((*document)->text));
        if (bytes < kBatchBytes) continue;
      }
      counts->add(std::vector<std::string_view>(batch.begin(), batch.end()));
      batch.clear();
      bytes = 0;
      console.draw_progress(
          fmt::format("read {}", readable_bytes(static_cast<double>(counts->bytes()))));
    }
    return {};
  }

  std::vector<std::string> paths_;
  std::string out_;
  DocumentFlags documents_;
  int64_t vocab_size_ = 8192, min_frequency_ = 2;
  bool no_space_runs_ = false, force_ = false;
  int threads_ = 0;
  TokenizerLayout layout_;
};

}  // namespace

std::unique_ptr<Command> make_tokenizer_train() { return std::make_unique<TokenizerTrain>(); }

}  // namespace ettin::cli
