// ettin data show
#include <algorithm>

#include <fmt/format.h>

#include "base/json.h"
#include "command.h"
#include "text_layout.h"
#include "train/fed_batches.h"
#include "train/run_folder.h"

namespace ettin::cli {
namespace {

constexpr size_t kShownBytes = 480;  // of a text, without --full

class DataShow : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] RUN",
            "What a training run was fed in one of its steps, made again from the data and checked "
            "against the run's log: which sequences, where they come from, and their text as the "
            "network saw it. Of an encoder with its masks; another arm's view of the same batch "
            "with --arm.",
            {"ettin data show runs/encoder --step 1200",
             "ettin data show runs/encoder --step 1200 --arm decoder --sequences 0 --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&runs_, 1);
    flags.option("--step", "N", "step of the whole run, from 1", &step_);
    flags.choice("--arm", {"own", "encoder", "decoder"}, "whose view; own: the run's", &arm_);
    flags.option("--sequences", "N", "show the first N of the batch; 0: all", &most_);
    flags.toggle("--full", "whole texts; else their beginnings", &full_);
    flags.toggle("--json", "everything as one object, with ids and targets", &json);
  }

  Status run(Console& console) override {
    if (runs_.size() != 1 || step_ < 1 || most_ < 0) {
      return Status(StatusCode::invalid_argument, "data show needs a run and --step, from 1",
                    "ettin data show RUN --step 1");
    }
    ETTIN_ASSIGN_OR_RETURN(const DataLogEntry entry, find_entry());
    std::string name = arm_;
    if (arm_ == "own") {
      ETTIN_ASSIGN_OR_RETURN(const RunIdentity identity, read_run_identity(runs_[0]));
      name = identity.arm;
    }
    const Arm arm = name == kDecoder.name ? kDecoder : kEncoder;
    ETTIN_ASSIGN_OR_RETURN(FedBatches batches, FedBatches::open(runs_[0]));
    ETTIN_ASSIGN_OR_RETURN(const auto batch, batches.batch(entry));
    if (!json) head(console, batches, entry, arm);
    Json sequences = Json::array();
    const size_t shown =
        most_ == 0 ? batch.size() : std::min(batch.size(), static_cast<size_t>(most_));
    for (size_t i = 0; i < shown; ++i) {
      ETTIN_ASSIGN_OR_RETURN(const Example example, batches.example(entry, batch[i], arm));
      if (json) {
        sequences.push_back(document(batches, batch[i], example));
      } else {
        show(console, batches, batch[i], example, i, arm);
      }
    }
    if (json) {
      Json all = {{"run", runs_[0]},
                  {"arm", arm.name},
                  {"step", entry.step},
                  {"phase", phase_name(batches, entry)},
                  {"phase_step", entry.phase_step},
                  {"epoch", entry.epoch},
                  {"first", entry.first},
                  {"sequences", entry.sequences},
                  {"tokens", entry.tokens},
                  {"batch_hash", entry.batch_hash},
                  {"chain", entry.chain}};
      all["shown"] = std::move(sequences);
      console.line(dump_json(all));
    } else if (shown < batch.size()) {
      console.line(fmt::format("{} more; --sequences 0 shows all", batch.size() - shown));
    }
    return {};
  }

 private:
  Result<DataLogEntry> find_entry() const {
    ETTIN_ASSIGN_OR_RETURN(const auto log, read_data_log(runs_[0]));
    if (step_ <= static_cast<int64_t>(log.size())) return log[static_cast<size_t>(step_ - 1)];
    return Status(
        StatusCode::not_found,
        fmt::format("{}: the log has {} steps, so no step {}", runs_[0], log.size(), step_),
        "choose an earlier step");
  }

  static std::string phase_name(const FedBatches& batches, const DataLogEntry& entry) {
    return batches.recipe().phases[static_cast<size_t>(entry.phase)].name;
  }

  static void head(Console& console, const FedBatches& batches, const DataLogEntry& entry,
                   const Arm& arm) {
    console.line(console.out(
        Style::bold, fmt::format("step {}: phase {}, step {} of it, as the {} saw it",
                                 with_commas(entry.step), printable(phase_name(batches, entry)),
                                 with_commas(entry.phase_step), arm.name)));
    console.line(fmt::format("  {} sequences from {} on in epoch {}, {} tokens",
                             with_commas(entry.sequences), with_commas(entry.first), entry.epoch,
                             with_commas(entry.tokens)));
    console.line(fmt::format("  hash {} as in the log", entry.batch_hash));
  }

  void show(Console& console, const FedBatches& batches, const FedAgain& fed,
            const Example& example, size_t place, const Arm& arm) const {
    console.line(fmt::format(
        "{}. sequence {}, {}, {} tokens, {} {}", place + 1, with_commas(fed.index),
        printable(fed.origin), fed.ids.size(), example.positions.size(),
        arm == kEncoder ? "to predict " + kinds(batches, example) : std::string("to predict")));
    std::string text = printable(batches.tokenizer().decode(example.inputs, false, false));
    if (!full_ && text.size() > kShownBytes) {
      size_t end = kShownBytes;
      while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
      text = text.substr(0, end) + (console.utf8() ? "…" : "...");
    }
    for (const std::string& line : wrap(text, std::max(20, console.width() - 4))) {
      console.line("    " + line);
    }
  }

  // "(25 [MASK], 3 random, 3 kept)"
  static std::string kinds(const FedBatches& batches, const Example& example) {
    const auto mask = batches.tokenizer().mask_id();
    size_t masked = 0, kept = 0;
    for (size_t i = 0; i < example.positions.size(); ++i) {
      const int32_t input = example.inputs[static_cast<size_t>(example.positions[i])];
      masked += mask && input == *mask ? 1 : 0;
      kept += input == example.targets[i] ? 1 : 0;
    }
    return fmt::format("({} masked, {} replaced, {} left)", masked,
                       example.positions.size() - masked - kept, kept);
  }

  static Json document(const FedBatches& batches, const FedAgain& fed, const Example& example) {
    return {{"sequence", fed.index},
            {"epoch", fed.epoch},
            {"origin", fed.origin},
            {"ids", fed.ids},
            {"inputs", example.inputs},
            {"positions", example.positions},
            {"targets", example.targets},
            {"text", batches.tokenizer().decode(example.inputs, false, false)}};
  }

  std::vector<std::string> runs_;
  int64_t step_ = 0, most_ = 8;
  std::string arm_ = "own";
  bool full_ = false;
};

}  // namespace

std::unique_ptr<Command> make_data_show() { return std::make_unique<DataShow>(); }

}  // namespace ettin::cli
