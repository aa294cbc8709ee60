// ettin data verify
#include <fmt/format.h>

#include "base/json.h"
#include "command.h"
#include "data/survey.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

class DataVerify : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] DIR",
            "Reads every shard of a data set and checks sizes, offsets, the hashes that index.json "
            "has, and every value; with --vocab-size also that each id is below it. Ends with 0 "
            "when all is whole; with 1 when something is damaged, after naming each such file.",
            {"ettin data verify shards", "ettin data verify shards --vocab-size 50368 --json"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&folders_, 1);
    flags.option("--vocab-size", "V", "ids must be below V", &vocab_size_);
    flags.toggle("--json", "the answer as one object", &json);
  }

  Status run(Console& console) override {
    if (folders_.empty() || vocab_size_ < 0) {
      return Status(
          StatusCode::invalid_argument,
          folders_.empty() ? "data verify needs a folder" : "--vocab-size needs a number above 0",
          "ettin data verify DIR");
    }
    ETTIN_ASSIGN_OR_RETURN(const Verification found, verify_dataset(folders_[0], vocab_size_));
    differs = !found.damage.empty();
    if (json) {
      Json damage = Json::array();
      for (const Damage& one : found.damage) {
        damage.push_back({{"file", one.file}, {"message", one.what}});
      }
      console.line(dump_json({{"whole", found.damage.empty()},
                              {"shards", found.shards},
                              {"sequences", found.sequences},
                              {"hashes", found.hashes},
                              {"damage", damage}}));
      return {};
    }
    for (const Damage& one : found.damage) console.line(printable(one.what));
    console.line(fmt::format("{} shards are whole, {} sequences{}; {} damaged",
                             with_commas(found.shards), with_commas(found.sequences),
                             found.hashes > 0 ? ", hashes checked" : "", found.damage.size()));
    return {};
  }

 private:
  std::vector<std::string> folders_;
  int64_t vocab_size_ = 0;
};

}  // namespace

std::unique_ptr<Command> make_data_verify() { return std::make_unique<DataVerify>(); }

}  // namespace ettin::cli
