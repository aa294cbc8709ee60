#include "hub/model_name.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/suggest.h"

namespace ettin {
namespace {

constexpr std::string_view kPrefix = "ettin-";

constexpr FamilyModel kFamily[] = {
    {"ettin-encoder-17m", "jhu-clsp/ettin-encoder-17m"},
    {"ettin-encoder-32m", "jhu-clsp/ettin-encoder-32m"},
    {"ettin-encoder-68m", "jhu-clsp/ettin-encoder-68m"},
    {"ettin-encoder-150m", "jhu-clsp/ettin-encoder-150m"},
    {"ettin-encoder-400m", "jhu-clsp/ettin-encoder-400m"},
    {"ettin-encoder-1b", "jhu-clsp/ettin-encoder-1b"},
    {"ettin-decoder-17m", "jhu-clsp/ettin-decoder-17m"},
    {"ettin-decoder-32m", "jhu-clsp/ettin-decoder-32m"},
    {"ettin-decoder-68m", "jhu-clsp/ettin-decoder-68m"},
    {"ettin-decoder-150m", "jhu-clsp/ettin-decoder-150m"},
    {"ettin-decoder-400m", "jhu-clsp/ettin-decoder-400m"},
    {"ettin-decoder-1b", "jhu-clsp/ettin-decoder-1b"},
    {"ettin-encoder-from-decoder-17m", "jhu-clsp/ettin-enc-from-dec-17m"},
    {"ettin-encoder-from-decoder-32m", "jhu-clsp/ettin-enc-from-dec-32m"},
    {"ettin-encoder-from-decoder-68m", "jhu-clsp/ettin-enc-from-dec-68m"},
    {"ettin-encoder-from-decoder-150m", "jhu-clsp/ettin-enc-from-dec-150m"},
    {"ettin-encoder-from-decoder-400m", "jhu-clsp/ettin-enc-from-dec-400m"},
    {"ettin-encoder-from-decoder-1b", "jhu-clsp/ettin-enc-from-dec-1b"},
    {"ettin-decoder-from-encoder-17m", "jhu-clsp/ettin-dec-from-enc-17m"},
    {"ettin-decoder-from-encoder-32m", "jhu-clsp/ettin-dec-from-enc-32m"},
    {"ettin-decoder-from-encoder-68m", "jhu-clsp/ettin-dec-from-enc-68m"},
    {"ettin-decoder-from-encoder-150m", "jhu-clsp/ettin-dec-from-enc-150m"},
    {"ettin-decoder-from-encoder-400m", "jhu-clsp/ettin-dec-from-enc-400m"},
    {"ettin-decoder-from-encoder-1b", "jhu-clsp/ettin-dec-from-enc-1b"},
};

bool is_word(std::string_view text) {
  return !text.empty() && text.size() <= 96 &&
         std::all_of(text.begin(), text.end(),
                     [](char c) {
                       return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                              (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
                     }) &&
         text.front() != '-' && text.front() != '.' && text.back() != '-' && text.back() != '.' &&
         // The cache writes "--" for "/".
         text.find("--") == std::string_view::npos && text.find("..") == std::string_view::npos;
}

std::string_view without_organisation(std::string_view repository) {
  return repository.substr(repository.find('/') + 1);
}

const FamilyModel* find_short_name(std::string_view name) {
  for (const FamilyModel& model : kFamily) {
    for (const std::string_view known : {model.name, without_organisation(model.repository)}) {
      if (name == known || name == known.substr(kPrefix.size())) return &model;
    }
  }
  return nullptr;
}

// The hub's spelling of a repository whose name is written as the model card does.
std::string hub_spelling(std::string_view repository) {
  for (const FamilyModel& model : kFamily) {
    const std::string_view organisation = model.repository.substr(
        0, model.repository.size() - without_organisation(model.repository).size());
    if (repository.starts_with(organisation) &&
        repository.substr(organisation.size()) == model.name) {
      return std::string(model.repository);
    }
  }
  return std::string(repository);
}

}  // namespace

std::span<const FamilyModel> family_models() { return kFamily; }

bool is_commit(std::string_view text) {
  return text.size() == 40 && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_revision(std::string_view text) {
  if (text.empty() || text.size() > 200 || text.front() == '/' || text.back() == '/') return false;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find('/', begin), text.size());
    const std::string_view part = text.substr(begin, end - begin);
    const bool plain = std::all_of(part.begin(), part.end(), [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_' || c == '.' || c == '+';
    });
    if (!plain || part.empty() || part.front() == '.' || part.front() == '-' ||
        part.find("..") != std::string_view::npos) {
      return false;
    }
    begin = end + 1;
  }
  return true;
}

std::optional<std::string> nearest_family_name(std::string_view repository) {
  const std::string_view name = without_organisation(repository);
  std::vector<std::string_view> known;
  for (const FamilyModel& model : kFamily) {
    if (repository == model.repository) return std::nullopt;  // spelt well, and not shown
    known.push_back(model.name);
    if (without_organisation(model.repository) != model.name) {
      known.push_back(without_organisation(model.repository));
    }
  }
  return closest(name, known);
}

Result<std::optional<ModelName>> parse_model_name(std::string_view text,
                                                  const std::vector<std::string_view>& also_known) {
  ModelName name;
  const size_t at = text.find('@');
  const std::string_view where = text.substr(0, at);
  if (at != std::string_view::npos) {
    if (!is_revision(text.substr(at + 1))) {
      return Status(StatusCode::invalid_argument,
                    fmt::format("\"{:.100}\" is no revision", text.substr(at + 1)),
                    "give a branch, a tag or a commit: NAME@step590532");
    }
    name.revision = std::string(text.substr(at + 1));
  }
  const size_t slash = where.find('/');
  if (slash != std::string_view::npos) {
    if (!is_word(where.substr(0, slash)) || !is_word(where.substr(slash + 1))) {
      return std::optional<ModelName>();
    }
    name.repository = hub_spelling(where);
    return std::optional(std::move(name));
  }
  if (!is_word(where)) return std::optional<ModelName>();
  if (const FamilyModel* const model = find_short_name(where)) {
    name.repository = std::string(model->repository);
    return std::optional(std::move(name));
  }
  std::vector<std::string_view> known = also_known;
  for (const FamilyModel& model : kFamily) {
    known.push_back(model.name);
    known.push_back(without_organisation(model.repository));
  }
  const std::optional<std::string> near = closest(where, known);
  return Status(StatusCode::not_found, fmt::format("there is no model \"{:.200}\"", where),
                near ? fmt::format("did you mean {}?", *near)
                     : "give a folder, ORG/NAME on the hub, or a name like ettin-encoder-32m");
}

}  // namespace ettin
