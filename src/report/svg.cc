#include "report/svg.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "base/utf8.h"
#include "report/axis.h"

namespace ettin {
namespace {

constexpr double kLetter = 6.7;  // width of an average letter at the size of labels, 12 px
constexpr double kLegendRow = 20;
constexpr size_t kLongestName = 48;

// Blue, vermilion, green, purple, ochre, teal, red, grey: apart for colour-blind readers in the
// first four (after Okabe and Ito 2008, darkened or lightened for contrast).
constexpr const char* kLight[kChartColours] = {"#0072b2", "#d55e00", "#00865f", "#a5528a",
                                               "#946c00", "#0a7e8c", "#c0334d", "#5c6773"};
constexpr const char* kDark[kChartColours] = {"#56aee8", "#f0883e", "#35c497", "#d993c0",
                                              "#d9b13b", "#4cc3d1", "#f2748a", "#a3afbd"};

struct Box {
  double left, top, width, height;
  double right() const { return left + width; }
  double bottom() const { return top + height; }
};

std::string shortened(const std::string& name) {
  std::string out;
  size_t letters = 0;
  for (size_t at = 0; at < name.size(); ++letters) {
    if (letters == kLongestName) return out + "…";
    const size_t length = decode_utf8(name, at).length;
    out += name.substr(at, length);
    at += length;
  }
  return out;
}

double text_width(const std::string& text) {
  double letters = 0;
  for (size_t at = 0; at < text.size(); ++letters) at += decode_utf8(text, at).length;
  return letters * kLetter;
}

class ChartWriter {
 public:
  explicit ChartWriter(const Chart& chart) : chart_(chart) {
    for (const Curve& curve : chart.curves) {
      Curve kept = curve;
      std::erase_if(kept.points, [&](const CurvePoint& p) {
        return !is_drawable(p.x) || !is_drawable(p.y) || (chart.log_x && p.x <= 0) ||
               (chart.log_y && p.y <= 0);
      });
      if (!kept.points.empty()) curves_.push_back(std::move(kept));
    }
  }

  std::string write() {
    place_legend();
    make_axes();
    out_ = fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"chart\" width=\"{0}\" height=\"{1}\" "
        "viewBox=\"0 0 {0} {1}\" role=\"img\" aria-label=\"{2}\" data-box=\"{3:.2f} {4:.2f} "
        "{5:.2f} {6:.2f}\" data-x=\"{7}\" data-y=\"{8}\" data-label=\"{9}\">\n",
        chart_.width, chart_.height, escape_xml(chart_.title), box_.left, box_.top, box_.width,
        box_.height, axis_data(*x_), axis_data(*y_), escape_xml(chart_.x_label));
    out_ += fmt::format("<rect class=\"paper\" width=\"{}\" height=\"{}\"/>\n", chart_.width,
                        chart_.height);
    out_ += fmt::format(
        "<text class=\"title\" x=\"16\" y=\"27\">{}<tspan class=\"muted\" dx=\"8\">{}</tspan>"
        "</text>\n",
        escape_xml(chart_.title), escape_xml(chart_.unit));
    draw_legend();
    draw_axes();
    draw_marks();
    // Curves are cut at the box, by a nested picture: it needs no id that could occur twice.
    out_ += fmt::format(
        "<svg x=\"{0:.2f}\" y=\"{1:.2f}\" width=\"{2:.2f}\" height=\"{3:.2f}\" "
        "viewBox=\"{0:.2f} {1:.2f} {2:.2f} {3:.2f}\">\n",
        box_.left - 4, box_.top - 4, box_.width + 8, box_.height + 8);
    for (const CurveStyle style : {CurveStyle::raw, CurveStyle::line, CurveStyle::dots}) {
      for (const Curve& curve : curves_) {
        if (curve.style == style) draw_curve(curve);
      }
    }
    out_ += "</svg>\n";
    draw_note();
    return out_ + "</svg>\n";
  }

 private:
  static std::string axis_data(const Axis& axis) {
    return fmt::format("{} {} {}", axis.low(), axis.high(), axis.logarithmic() ? 1 : 0);
  }

  // The legend is a row or more below the title, so that it never hides a curve.
  void place_legend() {
    double x = 16, y = 50;
    for (const Curve& curve : curves_) {
      if (curve.name.empty()) continue;
      const std::string name = shortened(curve.name);
      const double width = 30 + text_width(name) + 18;
      if (x > 16 && x + width > chart_.width) {
        x = 16;
        y += kLegendRow;
      }
      legend_.push_back({x, y, &curve, name});
      x += width;
    }
    box_.top = legend_.empty() ? 50 : y + 22;
    if (!chart_.marks.empty()) box_.top += 12;
    box_.height = std::max(chart_.height - box_.top - 42, 40.0);
  }

  void make_axes() {
    double x_low = 0, x_high = 0, y_low = 0, y_high = 0;
    bool first = true;
    std::vector<double> raw;
    for (const Curve& curve : curves_) {
      const double left = curve.points.front().x, right = curve.points.back().x;
      x_low = first ? left : std::min(x_low, left);
      x_high = first ? right : std::max(x_high, right);
      first = false;
      if (curve.style != CurveStyle::raw) continue;
      for (const CurvePoint& p : curve.points) raw.push_back(p.y);
    }
    // Raw values decide about the y axis but for the outermost half per cent at either end.
    first = true;
    const auto include = [&](double y) {
      y_low = first ? y : std::min(y_low, y);
      y_high = first ? y : std::max(y_high, y);
      first = false;
    };
    for (const size_t edge : {raw.size() / 200, raw.size() - 1 - raw.size() / 200}) {
      if (raw.empty()) break;
      const auto at = raw.begin() + static_cast<std::ptrdiff_t>(edge);
      std::nth_element(raw.begin(), at, raw.end());
      include(*at);
    }
    for (const Curve& curve : curves_) {
      if (curve.style == CurveStyle::raw) continue;
      for (const CurvePoint& p : curve.points) include(p.y);
    }
    if (curves_.empty()) x_high = y_high = 1;
    if (!chart_.log_x && x_low > 0 && x_low < 0.2 * x_high) x_low = 0;
    if (chart_.log_y && !curves_.empty()) {
      const double pad = std::pow(y_high / y_low, 0.04);
      y_low /= pad;
      y_high *= pad;
    } else {
      const double pad = (y_high - y_low) * 0.05;
      const bool positive = y_low >= 0;
      y_low -= pad;
      y_high += pad;
      if (positive && (chart_.from_zero || y_low < 0)) y_low = 0;
    }
    const bool log = !curves_.empty();
    y_.emplace(y_low, y_high, chart_.log_y && log, static_cast<int>(box_.height / 36));
    double widest = 0;
    for (const Tick& tick : y_->ticks()) widest = std::max(widest, text_width(tick.label));
    box_.left = 16 + widest + 10;
    box_.width = std::max(chart_.width - box_.left - 24, 40.0);
    x_.emplace(x_low, x_high, chart_.log_x && log, static_cast<int>(box_.width / 90));
    for (const double y : raw) {
      above_ += y > y_->high();
      below_ += y < y_->low();
    }
  }

  double px(double x) const { return box_.left + box_.width * x_->at(x); }
  double py(double y) const { return box_.bottom() - box_.height * y_->at(y); }

  void draw_legend() {
    for (const Entry& entry : legend_) {
      const double y = entry.y - 4;
      out_ += fmt::format("<g class=\"c{}\"><path class=\"{}\" d=\"M{} {}h22\"/>",
                          entry.curve->colour % kChartColours,
                          entry.curve->style == CurveStyle::dots ? "join" : "line", entry.x, y);
      if (entry.curve->style == CurveStyle::dots) {
        out_ +=
            fmt::format("<circle class=\"dot\" cx=\"{}\" cy=\"{}\" r=\"3.5\"/>", entry.x + 11, y);
      }
      out_ += fmt::format("<text class=\"label\" x=\"{}\" y=\"{}\">{}</text></g>\n", entry.x + 30,
                          entry.y, escape_xml(entry.name));
    }
  }

  void draw_axes() {
    for (const Tick& tick : y_->ticks()) {
      const double y = py(tick.value);
      out_ += fmt::format(
          "<path class=\"grid\" d=\"M{:.2f} {:.2f}H{:.2f}\"/><text class=\"label muted\" "
          "text-anchor=\"end\" x=\"{:.2f}\" y=\"{:.2f}\">{}</text>\n",
          box_.left, y, box_.right(), box_.left - 8, y + 4, escape_xml(tick.label));
    }
    out_ += fmt::format("<path class=\"axis\" d=\"M{:.2f} {:.2f}H{:.2f}\"/>\n", box_.left,
                        box_.bottom(), box_.right());
    for (const Tick& tick : x_->ticks()) {
      const double x = px(tick.value);
      // The last label ends at the picture's edge at most.
      const double half = text_width(tick.label) / 2;
      const double at = std::min(x, chart_.width - 4 - half);
      out_ += fmt::format(
          "<path class=\"axis\" d=\"M{:.2f} {:.2f}v5\"/><text class=\"label muted\" "
          "text-anchor=\"middle\" x=\"{:.2f}\" y=\"{:.2f}\">{}</text>\n",
          x, box_.bottom(), at, box_.bottom() + 19, escape_xml(tick.label));
    }
    out_ += fmt::format(
        "<text class=\"label muted\" text-anchor=\"end\" x=\"{:.2f}\" y=\"{:.2f}\">{}</text>\n",
        box_.right(), box_.bottom() + 35, escape_xml(chart_.x_label));
  }

  void draw_marks() {
    double free_from = 0;  // where the next name may begin
    for (const ChartMark& mark : chart_.marks) {
      if (!is_drawable(mark.x) || (x_->logarithmic() && mark.x <= 0)) continue;
      // A phase that begins left of the axis is named at its start.
      const double x = std::max(px(mark.x), box_.left);
      if (x > box_.right() - 2) continue;
      if (x > box_.left + 2) {
        out_ += fmt::format("<path class=\"mark\" d=\"M{:.2f} {:.2f}V{:.2f}\"/>", x, box_.top - 6,
                            box_.bottom());
      }
      const std::string name = shortened(mark.name);
      const double from = x + (x > box_.left + 2 ? 4 : 0), to = from + text_width(name) * 0.92;
      if (from < free_from || to > chart_.width) continue;
      free_from = to + 6;
      out_ += fmt::format("<text class=\"small muted\" x=\"{:.2f}\" y=\"{:.2f}\">{}</text>\n", from,
                          box_.top - 4, escape_xml(name));
    }
  }

  void draw_curve(const Curve& curve) {
    const std::vector<CurvePoint> points =
        thin_out(curve.points, static_cast<int>(std::lround(box_.width)));
    std::string path;
    for (const CurvePoint& p : points) {
      // Far outside is as good as further outside, and renderers have limits.
      const double y = std::clamp(py(p.y), -1e4, 1e4);
      path += fmt::format("{}{:.2f} {:.2f}", path.empty() ? "M" : " ", px(p.x), y);
    }
    const char* kind = curve.style == CurveStyle::raw    ? "raw"
                       : curve.style == CurveStyle::line ? (curve.dashed ? "line dashed" : "line")
                                                         : "join";
    out_ += fmt::format("<g class=\"c{}\">", curve.colour % kChartColours);
    out_ += fmt::format("<path class=\"{}\" d=\"{}\"", kind, path);
    if (curve.style != CurveStyle::raw) {
      out_ += fmt::format(" data-name=\"{}\"", escape_xml(shortened(curve.name)));
    }
    out_ += "/>";
    // Validations are few; where they are not, or a line has one point only, dots are what shows.
    const bool marked = curve.style == CurveStyle::dots && points.size() <= 120;
    if (marked || (points.size() == 1 && curve.style != CurveStyle::raw)) {
      for (const CurvePoint& p : points) {
        out_ += fmt::format("<circle class=\"dot\" cx=\"{:.2f}\" cy=\"{:.2f}\" r=\"3.5\"/>",
                            px(p.x), py(p.y));
      }
    }
    out_ += "</g>\n";
  }

  void draw_note() {
    std::string note;
    if (curves_.empty()) note = "nothing to draw";
    if (above_ > 0) note = fmt::format("{} step{} above", above_, above_ == 1 ? "" : "s");
    if (below_ > 0) {
      note += fmt::format("{}{} step{} below", note.empty() ? "" : ", ", below_,
                          below_ == 1 ? "" : "s");
    }
    if (note.empty()) return;
    out_ +=
        fmt::format("<text class=\"small muted\" text-anchor=\"end\" x=\"{}\" y=\"27\">{}</text>\n",
                    chart_.width - 16, note);
  }

  struct Entry {
    double x, y;
    const Curve* curve;
    std::string name;
  };

  const Chart& chart_;
  std::vector<Curve> curves_;  // what can be drawn of them
  std::vector<Entry> legend_;
  Box box_ = {0, 0, 0, 0};  // what the axes enclose
  std::optional<Axis> x_, y_;
  int64_t above_ = 0, below_ = 0;  // raw points outside the y axis
  std::string out_;
};

}  // namespace

std::string escape_xml(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Step step = decode_utf8(text, at);
    const char32_t c = step.code_point;
    // The characters of XML 1.0, section 2.2; C1 controls are allowed there and shown by nobody.
    const bool control = (c < 0x20 && c != U'\t' && c != U'\n') || (c >= 0x7f && c < 0xa0);
    if (!step.valid || control || c == 0xfffe || c == 0xffff) {
      append_utf8(U'\ufffd', &out);
    } else if (c == U'&' || c == U'<' || c == U'>' || c == U'"' || c == U'\'') {
      out += fmt::format("&#{};", static_cast<uint32_t>(c));
    } else {
      out += text.substr(at, step.length);
    }
    at += step.length;
  }
  return out;
}

std::string svg_element(const Chart& chart) { return ChartWriter(chart).write(); }

std::string chart_styles() {
  std::string styles =
      ".chart{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}"
      ".paper{fill:#ffffff}.title{font-size:16px;font-weight:600;fill:#1c2128}"
      ".title .muted{font-size:13px;font-weight:400}"
      ".label{font-size:12px;fill:#1c2128}.small{font-size:11px}"
      ".muted,.label.muted{fill:#57606a}"
      ".grid{stroke:#e3e6ea;stroke-width:1;fill:none}.axis{stroke:#8c959f;fill:none}"
      ".mark{stroke:#8c959f;stroke-dasharray:3 3;fill:none}"
      ".raw,.line,.join{fill:none;stroke:currentColor;stroke-linejoin:round;stroke-linecap:round}"
      ".raw{stroke-width:1;stroke-opacity:.28}.line{stroke-width:2}.dashed{stroke-dasharray:8 7}"
      ".join{stroke-width:1.2;stroke-dasharray:5 3}"
      ".dot{fill:#ffffff;stroke:currentColor;stroke-width:2}\n";
  for (int i = 0; i < kChartColours; ++i) styles += fmt::format(".c{}{{color:{}}}", i, kLight[i]);
  styles +=
      "\n@media (prefers-color-scheme:dark){.paper{fill:#161b22}.title{fill:#e6edf3}"
      ".label{fill:#e6edf3}.muted,.label.muted{fill:#9aa4af}.grid{stroke:#2b323b}"
      ".axis,.mark{stroke:#6e7781}.dot{fill:#161b22}";
  for (int i = 0; i < kChartColours; ++i) styles += fmt::format(".c{}{{color:{}}}", i, kDark[i]);
  return styles + "}\n";
}

std::string svg_document(const Chart& chart) {
  std::string element = svg_element(chart);
  element.insert(element.find('\n') + 1, fmt::format("<style>\n{}</style>\n", chart_styles()));
  return "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n" + element;
}

}  // namespace ettin
