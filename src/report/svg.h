// Line charts as SVG.
//
// Colours follow the reader's light or dark scheme; each has a contrast of at least 3 to the paper,
// and text of 4.5 (WCAG 2.1). Text from outside is escaped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "report/curve.h"

namespace ettin {

enum class CurveStyle : uint8_t {
  raw,   // thin and faint, behind the others; has no name
  line,  // what the eye follows
  dots,  // few points, each marked, joined by a thin line
};

struct Curve {
  std::string name;  // in the legend; empty: not there
  CurveStyle style = CurveStyle::line;
  int colour = 0;                  // index into the palette, which repeats
  bool dashed = false;             // a line that may lie on another one
  std::vector<CurvePoint> points;  // sorted by x; what cannot be drawn is left out
};

// A place on the x axis that a vertical line marks: a phase begins.
struct ChartMark {
  double x = 0;
  std::string name;
};

struct Chart {
  std::string title, unit;  // "loss", "nats per target"
  std::string x_label;      // "tokens"
  bool log_x = false, log_y = false;
  bool from_zero = false;  // a linear y axis begins at 0
  std::vector<Curve> curves;
  std::vector<ChartMark> marks;
  int width = 960, height = 420;  // of the picture
};

inline constexpr int kChartColours = 8;

// Escapes what XML gives a meaning; what XML has no room for becomes U+FFFD. For text and for
// attributes in double quotes, of SVG and HTML.
std::string escape_xml(std::string_view text);

// The chart as one <svg> element; styles come from chart_styles(). The script of report/html.h
// finds its axes and curves in data- attributes. Raw points may lie outside the y axis, which then
// says so: single spikes would flatten everything else.
std::string svg_element(const Chart& chart);

// The style sheet of svg_element.
std::string chart_styles();

// A file of its own.
std::string svg_document(const Chart& chart);

}  // namespace ettin
