// The terminal: data to standard output, everything for people to standard error.
//
// Decides once, when it is made, about colour, UTF-8 and width; the rest of the program only asks.
// NO_COLOR, CLICOLOR_FORCE and TERM=dumb are honoured. Not thread-safe, except where it says so.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ettin/status.h"

namespace ettin::cli {

enum class Style : uint8_t { plain, bold, dim, red, green, yellow };

class Console {
 public:
  Console();
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  bool out_is_terminal() const { return out_is_terminal_; }
  bool err_is_terminal() const { return err_is_terminal_; }
  bool utf8() const { return utf8_; }
  // Can a line on standard error be drawn over and over?
  bool can_animate() const { return err_is_terminal_ && !dumb_; }
  int width() const { return width_; }  // columns of the terminal; 80 when there is none

  // Standard output, buffered; `line` adds the line end. A failure to write is kept for flush().
  void write(std::string_view text);
  void line(std::string_view text = {});
  Status flush();

  // Standard error, at once; a progress line is wiped first. Control characters are shown, not
  // sent: messages quote file names, keys and what servers say.
  void notice(std::string_view text);
  void say(std::string_view text);  // a line as it is, without a word before it
  void error(const Status& status, bool as_json);
  // Replaces the last line of standard error; empty wipes it. Only when can_animate().
  void draw_progress(std::string_view text);

  // `text` in a style, when standard output (or error) shows styles.
  std::string out(Style style, std::string_view text) const;
  std::string err(Style style, std::string_view text) const;

 private:
  void put_error(std::string_view text);

  bool out_is_terminal_ = false;
  bool err_is_terminal_ = false;
  bool out_colour_ = false;
  bool err_colour_ = false;
  bool dumb_ = false;
  bool utf8_ = false;
  int width_ = 80;
  bool write_failed_ = false;
  int write_errno_ = 0;
  std::string buffer_;
};

// SIGPIPE ends the program quietly (141 in a shell), even where a parent had it ignored. SIGINT
// wipes a progress line and then ends the program as the default action would (130 in a shell).
void install_signal_handlers();

}  // namespace ettin::cli
