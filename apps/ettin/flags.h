// What a command can be told: its options and arguments, in the order its help shows them.
//
// A Flag knows how to read its value and where to put it; nothing here knows how a command line is
// split (parse.h) or how help looks (help.h).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ettin/status.h"

namespace ettin::cli {

struct Flag {
  std::string name;   // "--top-k"
  std::string value;  // what help calls the value, "K"; empty: a switch
  std::string help;
  std::string default_text;  // "5"; empty: nothing worth showing
  std::string group;         // heading in the help
  bool repeatable = false;
  bool* on = nullptr;                                  // switches
  std::function<Status(const std::string& text)> set;  // the others; once per value

  // The variable that stands in for the option: ETTIN_TOP_K.
  std::string environment_name() const;
};

class Flags {
 public:
  // Heading of the flags that follow.
  void group(std::string title) { group_ = std::move(title); }

  void toggle(std::string name, std::string help, bool* target);
  void option(std::string name, std::string value, std::string help, std::string* target);
  void option(std::string name, std::string value, std::string help, int* target);
  void option(std::string name, std::string value, std::string help, int64_t* target);
  void option(std::string name, std::string value, std::string help, uint64_t* target);
  void option(std::string name, std::string value, std::string help, double* target);
  void option(std::string name, std::string value, std::string help,
              std::optional<std::string>* target);
  void option(std::string name, std::string value, std::string help,
              std::optional<int64_t>* target);
  void option(std::string name, std::string value, std::string help, std::optional<double>* target);
  // One of `choices`.
  void choice(std::string name, std::vector<std::string> choices, std::string help,
              std::string* target);
  // May be given several times.
  void list(std::string name, std::string value, std::string help,
            std::vector<std::string>* target);
  // What is not an option: at most `most` words. Without it a command takes none.
  void arguments(std::vector<std::string>* target, size_t most = SIZE_MAX);

  const std::vector<Flag>& all() const { return flags_; }
  const Flag* find(std::string_view name) const;
  std::vector<std::string>* argument_target() const { return arguments_; }
  size_t most_arguments() const { return arguments_ == nullptr ? 0 : most_arguments_; }

 private:
  Flag& add(std::string name, std::string value, std::string help);

  std::string group_ = "options";
  std::vector<Flag> flags_;
  std::vector<std::string>* arguments_ = nullptr;
  size_t most_arguments_ = 0;
};

}  // namespace ettin::cli
