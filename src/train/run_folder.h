// The folder of one run: whose it is, and that only one trainer writes it.
//
//   RUN/recipe.yaml   the whole recipe, every default written out
//   RUN/run.json      arm, identities of the recipe, the tokenizer and the data; makes it a run
//   RUN/.lock         held while a trainer runs; says nothing when nobody holds it
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin {

struct RunIdentity {
  std::string arm;
  std::string recipe;     // Recipe::identity()
  std::string tokenizer;  // SHA-256 of its tokenizer.json, hex; empty: there is none
  struct Data {
    std::string phase, identity;  // name of the phase, TokenDataset::identity()
  };
  std::vector<Data> data;    // in the order of the phases
  std::string version = {};  // of the ettin that began the run; not compared
};

// Move-only; the lock is given back on destruction, and by the system when the process ends.
class RunFolder {
 public:
  // Begins a run in a folder that is new or empty, or goes on with the one that is there. An error
  // when that one has another recipe, arm, tokenizer or data (it names the keys that differ), or
  // when another trainer is at work. `recipe_yaml` replaces the stored one where folders moved.
  static Result<RunFolder> open(const std::string& path, const RunIdentity& identity,
                                std::string_view recipe_yaml);

  RunFolder(RunFolder&& other) noexcept;
  RunFolder& operator=(RunFolder&&) = delete;
  ~RunFolder();

  const std::string& path() const { return path_; }
  bool is_new() const { return is_new_; }
  std::string checkpoints() const { return path_ + "/checkpoints"; }

 private:
  RunFolder(std::string path, int lock) : path_(std::move(path)), lock_(lock) {}

  std::string path_;
  int lock_;
  bool is_new_ = false;
};

// RUN/run.json. Takes no lock.
Result<RunIdentity> read_run_identity(const std::string& path);
inline constexpr const char* kRecipeFile = "recipe.yaml";

// Of two canonical YAML texts (Recipe::to_yaml), the values that differ, at most `most` of them:
// "phases.pretrain.tokens: 4000 there, 5000 here".
std::vector<std::string> differing_keys(std::string_view there, std::string_view here, size_t most);

}  // namespace ettin
