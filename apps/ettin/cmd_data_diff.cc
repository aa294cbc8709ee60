// ettin data diff
#include <fmt/format.h>

#include "base/json.h"
#include "command.h"
#include "text_layout.h"
#include "train/compare_runs.h"

namespace ettin::cli {
namespace {

class DataDiff : public Command {
 public:
  CommandHelp help() const override {
    return {
        "[OPTIONS] RUN_A RUN_B",
        "Whether two training runs were fed the same tokens in the same order, an encoder's and "
        "a decoder's for one: compares the hash chains of their data logs. Where they part, the "
        "first step, sequence and token that differ. Ends with 0 when all steps are equal, with "
        "1 when something differs or one run has more steps.",
        {"ettin data diff runs/encoder runs/decoder",
         "ettin data diff runs/encoder runs/stopped --prefix --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&runs_, 2);
    flags.toggle("--prefix", "a run that has fewer steps counts as equal as far as it goes",
                 &prefix_);
    flags.toggle("--json", "the answer as one object", &json);
  }

  Status run(Console& console) override {
    if (runs_.size() != 2) {
      return Status(StatusCode::invalid_argument, "data diff needs two runs: RUN_A and RUN_B",
                    "give the folders that `ettin train` wrote");
    }
    ETTIN_ASSIGN_OR_RETURN(const RunComparison result, compare_runs(runs_[0], runs_[1]));
    differs = !(result.identical() || (prefix_ && result.prefix()));
    if (json) {
      console.line(dump_json(document(result)));
    } else {
      show(console, result);
    }
    return {};
  }

 private:
  static Json summary(const FedSummary& fed) {
    return {{"steps", fed.steps}, {"tokens", fed.tokens}, {"chain", fed.chain}};
  }

  static Json sequence(const std::optional<FedAgain>& fed, const std::optional<int64_t>& position) {
    if (!fed) return nullptr;
    Json json = {{"sequence", fed->index},
                 {"epoch", fed->epoch},
                 {"origin", fed->origin},
                 {"length", fed->ids.size()}};
    if (position) json["id"] = id_at(*fed, *position);
    return json;
  }

  static Json id_at(const FedAgain& fed, int64_t position) {
    const auto at = static_cast<size_t>(position);
    return at < fed.ids.size() ? Json(fed.ids[at]) : Json();
  }

  static Json document(const RunComparison& result) {
    Json json = {{"identical", result.identical()},
                 {"prefix", result.prefix()},
                 {"common_steps", result.common},
                 {"a", summary(result.a)},
                 {"b", summary(result.b)}};
    if (!result.first_difference) return json;
    const FirstStep& step = *result.first_difference;
    Json first = {{"step", step.a.step}};
    for (const auto& [key, entry] : {std::pair("a", &step.a), std::pair("b", &step.b)}) {
      first[key] = {{"phase", entry->phase},          {"phase_step", entry->phase_step},
                    {"epoch", entry->epoch},          {"first", entry->first},
                    {"sequences", entry->sequences},  {"tokens", entry->tokens},
                    {"batch_hash", entry->batch_hash}};
    }
    if (step.token) {
      first["place"] = step.token->place;
      first["position"] = step.token->position ? Json(*step.token->position) : Json();
      first["sequence_a"] = sequence(step.token->a, step.token->position);
      first["sequence_b"] = sequence(step.token->b, step.token->position);
    } else {
      first["unknown"] = step.unknown;
    }
    json["first_difference"] = std::move(first);
    return json;
  }

  void show(Console& console, const RunComparison& result) const {
    const auto tokens = [](int64_t n) { return with_commas(n); };
    if (result.identical()) {
      console.line(console.out(Style::green, "identical") + fmt::format(": {} steps, {} tokens",
                                                                        with_commas(result.a.steps),
                                                                        tokens(result.a.tokens)));
      console.line("  chain  " + result.a.chain);
      return;
    }
    if (result.prefix()) {
      const bool a_is_short = result.a.steps < result.b.steps;
      const FedSummary& part = a_is_short ? result.a : result.b;
      const FedSummary& whole = a_is_short ? result.b : result.a;
      console.line(fmt::format("{} is the beginning of {}: {} of {} steps, {} of {} tokens",
                               printable(runs_[a_is_short ? 0 : 1]),
                               printable(runs_[a_is_short ? 1 : 0]), with_commas(part.steps),
                               with_commas(whole.steps), tokens(part.tokens),
                               tokens(whole.tokens)));
      console.line("  chain there  " + (part.chain.empty() ? "empty" : part.chain));
      return;
    }
    const FirstStep& step = *result.first_difference;
    console.line(console.out(Style::red, "different") +
                 fmt::format(" from step {} on; {} steps before it are equal",
                             with_commas(step.a.step), with_commas(result.common)));
    for (const auto& [name, entry] : {std::pair(runs_[0], &step.a), std::pair(runs_[1], &step.b)}) {
      console.line(fmt::format(
          "  {}: phase {}, epoch {}, {} sequences from {} on, {} tokens, hash {:.16}",
          printable(name), entry->phase + 1, entry->epoch, with_commas(entry->sequences),
          with_commas(entry->first), tokens(entry->tokens), entry->batch_hash));
    }
    if (!step.token) {
      console.line("  which token is not known: " + printable(step.unknown));
      return;
    }
    const FirstToken& token = *step.token;
    console.line(fmt::format(
        "  the first difference is in sequence {} of the batch{}", token.place + 1,
        token.position ? fmt::format(", at token {}", *token.position + 1) : std::string()));
    for (const auto& [name, fed] : {std::pair(runs_[0], &token.a), std::pair(runs_[1], &token.b)}) {
      console.line(fmt::format("  {}: {}", printable(name), describe(*fed, token.position)));
    }
  }

  static std::string describe(const std::optional<FedAgain>& fed,
                              const std::optional<int64_t>& position) {
    if (!fed) return "has no such sequence";
    std::string text = fmt::format("sequence {}, {}, {} tokens", with_commas(fed->index),
                                   printable(fed->origin), fed->ids.size());
    if (!position) return text;
    const Json id = id_at(*fed, *position);
    return text + (id.is_null() ? "; it ends there" : "; id " + dump_json(id));
  }

  std::vector<std::string> runs_;
  bool prefix_ = false;
};

}  // namespace

std::unique_ptr<Command> make_data_diff() { return std::make_unique<DataDiff>(); }

}  // namespace ettin::cli
