// A folder that is complete under its name or absent, whatever ends the process or the machine
// while it is written or removed.
#pragma once

#include <string>

#include "ettin/status.h"

namespace ettin {

// Made as PARENT/.tmp-NAME-PID, filled by the caller with files that are synced, and renamed by
// publish(). Removed again where it was not published.
class DurableFolder {
 public:
  static Result<DurableFolder> create(const std::string& parent, const std::string& name);

  DurableFolder(DurableFolder&& other) noexcept;
  DurableFolder& operator=(DurableFolder&&) = delete;
  ~DurableFolder();

  const std::string& path() const { return path_; }

  // Takes the place of a folder that has the name already.
  Status publish();

 private:
  DurableFolder(std::string parent, std::string name, std::string path);

  std::string parent_, name_, path_;
};

// Renames the folder before its files go, so that no half of it is ever found under its name.
Status remove_durably(const std::string& parent, const std::string& name);

// What a write or a removal left behind when it was cut off. Precondition: nobody is writing there.
Status remove_left_overs(const std::string& parent);

}  // namespace ettin
