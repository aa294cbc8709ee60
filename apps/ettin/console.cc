#include "console.h"

#include <fmt/format.h>
#include <langinfo.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdlib>
#include <cstring>

#include "base/json.h"
#include "text_layout.h"

namespace ettin::cli {
namespace {

constexpr size_t kBufferBytes = 64 << 10;
constexpr char kWipeLine[] = "\r\x1b[K";

// Read by the SIGINT handler: is there a progress line to wipe?
std::atomic<bool> progress_shown = false;

bool is_set(const char* variable) {
  const char* value = std::getenv(variable);
  return value != nullptr && *value != '\0';
}

// errno of the failure, 0 when all was written.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<size_t>(n));
  }
  return 0;
}

int terminal_width() {
  for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) {
    winsize size = {};
    if (::ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) return size.ws_col;
  }
  return 80;
}

std::string styled(bool on, Style style, std::string_view text) {
  if (!on || style == Style::plain || text.empty()) return std::string(text);
  static constexpr const char* kCodes[] = {"0", "1", "2", "31", "32", "33"};
  return fmt::format("\x1b[{}m{}\x1b[0m", kCodes[static_cast<size_t>(style)], text);
}

void on_interrupt(int signal) {
  if (progress_shown.load()) {
    // Nothing can be done about a failed write while the program ends.
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, kWipeLine, sizeof(kWipeLine) - 1);
  }
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

}  // namespace

Console::Console() {
  // Only the character set is taken from the environment; numbers keep the C locale.
  if (std::setlocale(LC_CTYPE, "") != nullptr) {
    utf8_ = std::string_view(::nl_langinfo(CODESET)) == "UTF-8";
  }
  out_is_terminal_ = ::isatty(STDOUT_FILENO) == 1;
  err_is_terminal_ = ::isatty(STDERR_FILENO) == 1;
  const char* term = std::getenv("TERM");
  dumb_ = term != nullptr && std::string_view(term) == "dumb";
  const char* force = std::getenv("CLICOLOR_FORCE");
  const bool forced = force != nullptr && *force != '\0' && std::string_view(force) != "0";
  const bool refused = is_set("NO_COLOR");
  out_colour_ = !refused && (forced || (out_is_terminal_ && !dumb_));
  err_colour_ = !refused && (forced || (err_is_terminal_ && !dumb_));
  width_ = terminal_width();
}

Console::~Console() { draw_progress(""); }

void Console::write(std::string_view text) {
  buffer_ += text;
  if (buffer_.size() >= kBufferBytes) {
    // flush() keeps the failure, and the last flush() reports it.
    if (!flush().ok()) buffer_.clear();
  }
}

void Console::line(std::string_view text) {
  write(text);
  write("\n");
}

Status Console::flush() {
  if (!buffer_.empty() && !write_failed_) {
    if (out_is_terminal_) draw_progress("");
    write_errno_ = write_all(STDOUT_FILENO, buffer_);
    // A reader that went away is not an error. Usually SIGPIPE has ended the program by now; this
    // is for a parent that blocked the signal.
    if (write_errno_ == EPIPE) ::_exit(128 + SIGPIPE);
    write_failed_ = write_errno_ != 0;
  }
  buffer_.clear();
  if (!write_failed_) return {};
  return Status(StatusCode::io_error,
                fmt::format("cannot write to standard output: {}", std::strerror(write_errno_)));
}

void Console::put_error(std::string_view text) {
  // Standard error is the last resort; when it is gone, nobody can be told.
  [[maybe_unused]] const int failed = write_all(STDERR_FILENO, text);
}

void Console::notice(std::string_view text) {
  draw_progress("");
  put_error(fmt::format("{} {}\n", err(Style::yellow, "notice:"), printable(text, true)));
}

void Console::say(std::string_view text) {
  draw_progress("");
  put_error(printable(text, true) + "\n");
}

void Console::error(const Status& status, bool as_json) {
  draw_progress("");
  if (as_json) {
    const Json document = {{"error",
                            {{"code", std::string(status_code_name(status.code()))},
                             {"message", status.message()},
                             {"hint", status.hint()}}}};
    put_error(dump_json(document) + "\n");
    return;
  }
  std::string text =
      fmt::format("{} {}\n", err(Style::red, "error:"), printable(status.message(), true));
  if (!status.hint().empty()) {
    text += fmt::format("{}  {}\n", err(Style::bold, "hint:"), printable(status.hint(), true));
  }
  put_error(text);
}

void Console::draw_progress(std::string_view text) {
  if (!can_animate() || (text.empty() && !progress_shown.load())) return;
  // Between these two a SIGINT wipes once too often rather than once too seldom.
  if (!text.empty()) progress_shown.store(true);
  put_error(fmt::format("{}{}", kWipeLine, text));
  if (text.empty()) progress_shown.store(false);
}

std::string Console::out(Style style, std::string_view text) const {
  return styled(out_colour_, style, text);
}

std::string Console::err(Style style, std::string_view text) const {
  return styled(err_colour_, style, text);
}

void install_signal_handlers() {
  std::signal(SIGPIPE, SIG_DFL);
  sigset_t pipe_signal;
  ::sigemptyset(&pipe_signal);
  ::sigaddset(&pipe_signal, SIGPIPE);
  ::sigprocmask(SIG_UNBLOCK, &pipe_signal, nullptr);
  struct sigaction previous = {};
  ::sigaction(SIGINT, nullptr, &previous);
  if (previous.sa_handler == SIG_IGN) return;  // nohup, or a background job of a script
  struct sigaction action = {};
  action.sa_handler = on_interrupt;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
  ::sigaction(SIGINT, &action, nullptr);
}

}  // namespace ettin::cli
