// A model folder made from another: written aside and renamed, so complete or absent.
#pragma once

#include <string>

#include "ettin/status.h"

namespace ettin {

class NewFolder {
 public:
  // A folder beside `to`, which must be new or empty or, with `force`, hold a model, and neither
  // lie inside `from` nor around it. Removed again unless it was moved.
  static Result<NewFolder> create(const std::string& from, const std::string& to, bool force);

  NewFolder(NewFolder&& other) noexcept;
  NewFolder& operator=(NewFolder&&) = delete;
  ~NewFolder();

  const std::string& path() const { return path_; }

  // Settings (not config.json), tokenizer, model card, and the folders that modules.json names.
  Status copy_small_files() const;

  // What was at the target goes last, when the new folder is in its place.
  Status move_to_target();

 private:
  NewFolder(std::string from, std::string target, std::string path);

  std::string from_, target_, path_;
};

}  // namespace ettin
