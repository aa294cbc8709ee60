#include "parse.h"

#include <fmt/format.h>

#include <algorithm>
#include <CLI/CLI.hpp>

#include "base/suggest.h"

namespace ettin::cli {
namespace {

// CLI11 hands out unknown words without saying which of them look like options.
class Parser : public CLI::App {
 public:
  const missing_t& unknown() const { return missing_; }
};

// CLI11 does not tell whether a value came from the command line or from the environment.
std::string where_set(const std::vector<std::string>& args, const Flag& flag) {
  return has_option(args, flag.name) ? flag.name : flag.environment_name();
}

Status unknown_option(const std::string& given, const Flags& flags) {
  const std::string name = given.substr(0, given.find('='));
  std::vector<std::string_view> known = {"--help"};
  for (const Flag& flag : flags.all()) known.push_back(flag.name);
  const std::optional<std::string> close = closest(name, known);
  std::string hint =
      close ? fmt::format("did you mean {}?", *close) : std::string("--help shows the options");
  if (flags.argument_target() != nullptr && !close) {
    hint += "; a text that begins with a dash goes after --";
  }
  return Status(StatusCode::invalid_argument, fmt::format("unknown option {:.80}", name), hint);
}

Status sort_unknown(const Parser& parser, const Flags& flags) {
  std::vector<std::string> words;
  for (const auto& [kind, word] : parser.unknown()) {
    if (kind == CLI::detail::Classifier::POSITIONAL_MARK) continue;  // "--"
    if (kind != CLI::detail::Classifier::NONE) return unknown_option(word, flags);
    words.push_back(word);
  }
  if (words.size() > flags.most_arguments()) {
    return Status(StatusCode::invalid_argument,
                  fmt::format("unexpected argument \"{:.80}\"", words[flags.most_arguments()]),
                  "--help shows what the command takes");
  }
  if (flags.argument_target() != nullptr) *flags.argument_target() = std::move(words);
  return {};
}

}  // namespace

bool has_option(const std::vector<std::string>& args, std::string_view option) {
  for (const std::string& arg : args) {
    if (arg == "--") return false;
    if (arg == option) return true;
    if (arg.starts_with(option) && arg.size() > option.size() && arg[option.size()] == '=') {
      return true;
    }
  }
  return false;
}

Status parse_flags(const std::vector<std::string>& args, const Flags& flags) {
  Parser parser;
  parser.set_help_flag();
  parser.allow_extras();
  Status failure;
  for (const Flag& flag : flags.all()) {
    CLI::Option* option = nullptr;
    if (flag.on != nullptr) {
      option = parser.add_flag(flag.name, *flag.on);
      option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    } else {
      option = parser.add_option(flag.name, [&, name = flag.name](const CLI::results_t& values) {
        for (const std::string& value : values) {
          const Status status = flag.set(value);
          if (status.ok()) continue;
          failure = status.with_context(where_set(args, flag));
          throw CLI::ValidationError(name, status.message());
        }
        return true;
      });
      option->multi_option_policy(flag.repeatable ? CLI::MultiOptionPolicy::TakeAll
                                                  : CLI::MultiOptionPolicy::TakeLast);
    }
    option->envname(flag.environment_name());
  }
  // CLI11 reads a vector from its back.
  std::vector<std::string> reversed(args.rbegin(), args.rend());
  try {
    parser.parse(std::move(reversed));
  } catch (const CLI::ArgumentMismatch&) {
    // With every policy above it can only mean that the last word is an option without its value.
    return Status(StatusCode::invalid_argument, fmt::format("{} needs a value", args.back()),
                  "--help shows the options");
  } catch (const CLI::ParseError& error) {
    if (!failure.ok()) return failure;
    return Status(StatusCode::invalid_argument, error.what(), "--help shows the options");
  }
  return sort_unknown(parser, flags);
}

}  // namespace ettin::cli
