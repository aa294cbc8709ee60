// ettin: the command line.
#include <exception>
#include <new>
#include <string>
#include <string_view>
#include <vector>

#include "cli.h"
#include "console.h"

namespace {

// The program as the user calls it, unless that is too long to show.
std::string called_as(const char* name) {
  constexpr size_t kLongest = 24;
  const std::string_view called = name == nullptr ? "ettin" : name;
  return std::string(called.empty() || called.size() > kLongest ? "ettin" : called);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace ettin;
  using namespace ettin::cli;
  install_signal_handlers();
  const std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  Console console;
  // Nothing below is meant to throw; this is for what the standard library cannot avoid.
  try {
    return run_program(args, called_as(argc > 0 ? argv[0] : nullptr), console);
  } catch (const std::bad_alloc&) {
    console.error(Status(StatusCode::resource_limit, "the memory ran out",
                         "use a smaller model, shorter texts or fewer at a time"),
                  wants_json(args));
  } catch (const std::exception& error) {
    console.error(Status(StatusCode::internal, error.what(), "this is a bug in ettin"),
                  wants_json(args));
  }
  return 1;
}
