// ettin pull, ettin list, ettin rm
#include <fmt/format.h>
#include <unistd.h>

#include <iostream>

#include "base/file.h"
#include "base/json.h"
#include "command.h"
#include "hub/pull.h"
#include "pull_progress.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

// A model of the hub: what a folder is called does not count here.
Result<ModelName> read_name(const std::string& text) {
  ETTIN_ASSIGN_OR_RETURN(std::optional<ModelName> name, parse_model_name(text));
  if (name) return *std::move(name);
  return Status(StatusCode::invalid_argument, fmt::format("\"{:.200}\" is no model's name", text),
                "give ORG/NAME, or a name like ettin-encoder-32m; @REVISION may follow");
}

Status need_one_name(const std::vector<std::string>& names, std::string_view command) {
  if (names.size() == 1) return {};
  return Status(StatusCode::invalid_argument, fmt::format("{} needs a model's name", command),
                "give ORG/NAME, or a name like ettin-encoder-32m");
}

class Pull : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS] NAME",
            "Fetches what a model is loaded from (config.json, tokenizer, weights) into the cache "
            "that Python's huggingface_hub keeps, looks for a newer version of what is there, and "
            "writes the folder's path. Every file is checked; a pull that was cut off goes on "
            "where it stopped. Commands that are given a NAME with --model pull it themselves.",
            {"ettin pull ettin-encoder-32m",
             "ettin pull onnx-community/ettin-encoder-32m-ONNX --dtype q4",
             "ettin pull jhu-clsp/ettin-decoder-400m@step590532"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&names_, 1);
    flags.option("--dtype", "TYPE", "which of the ONNX files, where the weights are ONNX files",
                 &wanted_.dtype);
    flags.option("--revision", "NAME", "branch, tag or commit; NAME@REVISION says the same",
                 &revision_);
    flags.toggle("--all", "every file of the repository", &wanted_.everything);
    flags.toggle("--json", "what was done, as one object", &json);
  }

  Status run(Console& console) override {
    ETTIN_RETURN_IF_ERROR(need_one_name(names_, "pull"));
    ETTIN_ASSIGN_OR_RETURN(ModelName name, read_name(names_[0]));
    if (!revision_.empty()) {
      if (!is_revision(revision_)) {
        return Status(StatusCode::invalid_argument,
                      fmt::format("\"{:.100}\" is no revision", revision_),
                      "give a branch, a tag or a commit");
      }
      name.revision = revision_;
    }
    ETTIN_ASSIGN_OR_RETURN(const HubSettings settings, hub_settings());
    PullProgressLine line(console);
    PullOptions options = line.options();
    options.wanted = wanted_;
    ETTIN_ASSIGN_OR_RETURN(const PulledModel pulled, pull_model(name, settings, options));
    console.draw_progress("");
    if (json) {
      console.line(dump_json({{"repository", name.repository},
                              {"revision", name.revision},
                              {"commit", pulled.commit},
                              {"directory", pulled.directory},
                              {"files", pulled.files},
                              {"fetched_files", pulled.fetched_files},
                              {"fetched_bytes", pulled.fetched_bytes}}));
    } else {
      console.line(pulled.directory);
    }
    return {};
  }

 private:
  std::vector<std::string> names_;
  std::string revision_;
  WantedFiles wanted_;
};

class List : public Command {
 public:
  CommandHelp help() const override {
    return {"[OPTIONS]",
            "The models of the cache that Python's huggingface_hub keeps: name, revision, kind, "
            "size on disk.",
            {"ettin list", "ettin list --json | jq -r .repository"}};
  }

  void add_flags(Flags& flags) override { flags.toggle("--json", "one object per model", &json); }

  Status run(Console& console) override {
    ETTIN_ASSIGN_OR_RETURN(const HubSettings settings, hub_settings());
    const std::vector<CachedModel> models = list_cache(settings.cache);
    for (const CachedModel& model : models) {
      if (json) {
        console.line(dump_json(to_json(settings, model)));
      } else {
        show(console, model);
      }
    }
    if (models.empty() && !json) {
      console.notice(fmt::format("no models in {}; ettin pull fetches one", settings.cache));
    }
    return {};
  }

 private:
  static Json to_json(const HubSettings& settings, const CachedModel& model) {
    Json revisions = Json::array();
    for (const CachedRevision& r : model.revisions) {
      const CachedRepository repository(settings.cache, model.repository);
      revisions.push_back({{"commit", r.commit},
                           {"names", r.names},
                           {"kind", r.kind},
                           {"files", r.files},
                           {"bytes", r.bytes},
                           {"directory", repository.snapshot(r.commit)}});
    }
    return {{"repository", model.repository}, {"bytes", model.bytes}, {"revisions", revisions}};
  }

  static void show(Console& console, const CachedModel& model) {
    for (const CachedRevision& r : model.revisions) {
      const std::string names =
          r.names.empty() ? r.commit.substr(0, 12) : fmt::format("{}", fmt::join(r.names, ", "));
      console.line(fmt::format("{}  {}  {}  {}", pad_right(printable(model.repository), 44),
                               pad_right(printable(names), 14), pad_right(printable(r.kind), 18),
                               readable_bytes(static_cast<double>(r.bytes))));
    }
  }
};

class Remove : public Command {
 public:
  CommandHelp help() const override {
    return {
        "[OPTIONS] NAME",
        "Removes a model from the cache: all of it, or with @REVISION one revision and what no "
        "other revision uses. Python's programs lose it too.",
        {"ettin rm ettin-encoder-32m", "ettin rm --yes jhu-clsp/ettin-decoder-400m@step590532"}};
  }

  void add_flags(Flags& flags) override {
    flags.arguments(&names_, 1);
    flags.toggle("--yes", "do not ask", &yes_);
    flags.toggle("--json", "what was removed, as one object", &json);
  }

  Status run(Console& console) override {
    ETTIN_RETURN_IF_ERROR(need_one_name(names_, "rm"));
    ETTIN_ASSIGN_OR_RETURN(const ModelName name, read_name(names_[0]));
    ETTIN_ASSIGN_OR_RETURN(const HubSettings settings, hub_settings());
    const CachedRepository cache(settings.cache, name.repository);
    const bool one_revision = names_[0].find('@') != std::string::npos;
    const std::optional<std::string> commit = cache.commit_of(name.revision);
    if (!directory_exists(cache.folder()) ||
        (one_revision && (!commit || !directory_exists(cache.snapshot(*commit))))) {
      return Status(StatusCode::not_found,
                    fmt::format("{} is not in the cache {}", names_[0], settings.cache),
                    "ettin list shows what is");
    }
    const std::string what = one_revision ? cache.snapshot(*commit) : cache.folder();
    if (!yes_) ETTIN_RETURN_IF_ERROR(ask(console, what));
    ETTIN_RETURN_IF_ERROR(one_revision ? cache.remove_revision(*commit) : cache.remove());
    if (json) {
      console.line(dump_json({{"removed", what}}));
    } else {
      console.notice(fmt::format("removed {}", what));
    }
    return {};
  }

 private:
  static Status ask(Console& console, const std::string& what) {
    if (::isatty(STDIN_FILENO) != 1) {
      return Status(StatusCode::invalid_argument, fmt::format("{} would be removed", what),
                    "--yes says that this is meant");
    }
    console.notice(fmt::format("{} will be removed. Type yes to go on.", what));
    std::string answer;
    std::getline(std::cin, answer);
    if (answer == "yes" || answer == "y") return {};
    return Status(StatusCode::invalid_argument, "nothing was removed");
  }

  std::vector<std::string> names_;
  bool yes_ = false;
};

}  // namespace

std::unique_ptr<Command> make_pull() { return std::make_unique<Pull>(); }
std::unique_ptr<Command> make_list() { return std::make_unique<List>(); }
std::unique_ptr<Command> make_remove() { return std::make_unique<Remove>(); }

}  // namespace ettin::cli
