// Text for people: bars, columns, wrapping, numbers, and strings made safe for a terminal.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ettin::cli {

// A bar of `fraction` (0 to 1) of `columns`, in eighths of a column where UTF-8 can be shown and of
// '#' otherwise. Anything above zero shows at least the smallest mark.
std::string bar(double fraction, int columns, bool utf8);

// Columns that `text` takes on a terminal.
int display_width(std::string_view text);

// `text` filled with spaces up to `columns`; longer text is returned as it is.
std::string pad_right(std::string_view text, int columns);
std::string pad_left(std::string_view text, int columns);

// `text` cut to `columns`, with an ellipsis when something was cut.
std::string shorten(std::string_view text, int columns, bool utf8);

// Lines of at most `columns`, broken at spaces; a word that is longer stands alone.
std::vector<std::string> wrap(std::string_view text, int columns);

// Control characters as \n, \t or \x1b, so that no text of a model can steer the terminal.
// `keep_layout` lets line ends and tabs through.
std::string printable(std::string_view text, bool keep_layout = false);

// 5501184 -> "5.5 million"; 12345 -> "12,345".
std::string readable_count(double count);
std::string with_commas(long long number);
std::string readable_bytes(double bytes);
std::string readable_ms(double milliseconds);
// 93784 -> "1 d 2 h"; 125 -> "2 min 5 s"; 12.3 -> "12 s".
std::string readable_duration(double seconds);

// 0.8492 -> " 84.9 %", always 7 columns.
std::string percent(double probability);

}  // namespace ettin::cli
