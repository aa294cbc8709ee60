#include "flags.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <concepts>
#include <utility>

#include "base/suggest.h"

namespace ettin::cli {
namespace {

Status unreadable(const std::string& text, std::string_view expected) {
  return Status(StatusCode::invalid_argument, fmt::format("\"{:.80}\" is not {}", text, expected));
}

template <class T>
Status parse_number(const std::string& text, T* target) {
  T value{};
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error == std::errc::result_out_of_range) return unreadable(text, "in the range of numbers");
  if (error != std::errc() || stop != end) {
    if constexpr (std::floating_point<T>) return unreadable(text, "a number");
    if constexpr (std::unsigned_integral<T>) return unreadable(text, "a whole number from 0 on");
    return unreadable(text, "a whole number");
  }
  *target = value;
  return {};
}

template <class T>
std::function<Status(const std::string&)> number_setter(T* target) {
  return [target](const std::string& text) { return parse_number(text, target); };
}

template <class T>
std::function<Status(const std::string&)> optional_number_setter(std::optional<T>* target) {
  return [target](const std::string& text) {
    T value{};
    ETTIN_RETURN_IF_ERROR(parse_number(text, &value));
    *target = value;
    return Status();
  };
}

std::string joined(const std::vector<std::string>& words, std::string_view separator) {
  return fmt::format("{}", fmt::join(words, separator));
}

}  // namespace

std::string Flag::environment_name() const {
  std::string variable = "ETTIN_";
  for (const char c : std::string_view(name).substr(2)) {
    variable += c == '-' ? '_' : static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
  }
  return variable;
}

Flag& Flags::add(std::string name, std::string value, std::string help) {
  Flag flag;
  flag.name = std::move(name);
  flag.value = std::move(value);
  flag.help = std::move(help);
  flag.group = group_;
  flags_.push_back(std::move(flag));
  return flags_.back();
}

void Flags::toggle(std::string name, std::string help, bool* target) {
  add(std::move(name), "", std::move(help)).on = target;
}

void Flags::option(std::string name, std::string value, std::string help, std::string* target) {
  Flag& flag = add(std::move(name), std::move(value), std::move(help));
  flag.default_text = *target;
  flag.set = [target](const std::string& text) {
    *target = text;
    return Status();
  };
}

void Flags::option(std::string name, std::string value, std::string help,
                   std::optional<std::string>* target) {
  add(std::move(name), std::move(value), std::move(help)).set = [target](const std::string& text) {
    *target = text;
    return Status();
  };
}

void Flags::option(std::string name, std::string value, std::string help, int* target) {
  Flag& flag = add(std::move(name), std::move(value), std::move(help));
  flag.default_text = fmt::format("{}", *target);
  flag.set = number_setter(target);
}

void Flags::option(std::string name, std::string value, std::string help, int64_t* target) {
  Flag& flag = add(std::move(name), std::move(value), std::move(help));
  flag.default_text = fmt::format("{}", *target);
  flag.set = number_setter(target);
}

void Flags::option(std::string name, std::string value, std::string help, uint64_t* target) {
  Flag& flag = add(std::move(name), std::move(value), std::move(help));
  flag.default_text = fmt::format("{}", *target);
  flag.set = number_setter(target);
}

void Flags::option(std::string name, std::string value, std::string help, double* target) {
  Flag& flag = add(std::move(name), std::move(value), std::move(help));
  flag.default_text = fmt::format("{}", *target);
  flag.set = number_setter(target);
}

void Flags::option(std::string name, std::string value, std::string help,
                   std::optional<int64_t>* target) {
  add(std::move(name), std::move(value), std::move(help)).set = optional_number_setter(target);
}

void Flags::option(std::string name, std::string value, std::string help,
                   std::optional<double>* target) {
  add(std::move(name), std::move(value), std::move(help)).set = optional_number_setter(target);
}

void Flags::choice(std::string name, std::vector<std::string> choices, std::string help,
                   std::string* target) {
  Flag& flag = add(std::move(name), joined(choices, "|"), std::move(help));
  flag.default_text = *target;
  flag.set = [target, choices = std::move(choices)](const std::string& text) {
    if (std::find(choices.begin(), choices.end(), text) != choices.end()) {
      *target = text;
      return Status();
    }
    const auto close = closest(text, {choices.begin(), choices.end()});
    return Status(StatusCode::invalid_argument, fmt::format("\"{:.80}\" is no choice", text),
                  close ? fmt::format("did you mean {}?", *close)
                        : fmt::format("choose one of: {}", joined(choices, ", ")));
  };
}

void Flags::list(std::string name, std::string value, std::string help,
                 std::vector<std::string>* target) {
  Flag& flag = add(std::move(name), std::move(value), std::move(help));
  flag.repeatable = true;
  flag.set = [target](const std::string& text) {
    target->push_back(text);
    return Status();
  };
}

void Flags::arguments(std::vector<std::string>* target, size_t most) {
  arguments_ = target;
  most_arguments_ = most;
}

const Flag* Flags::find(std::string_view name) const {
  const auto at = std::find_if(flags_.begin(), flags_.end(),
                               [&](const Flag& flag) { return flag.name == name; });
  return at == flags_.end() ? nullptr : &*at;
}

}  // namespace ettin::cli
