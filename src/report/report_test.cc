#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "report/axis.h"
#include "report/curve.h"
#include "report/html.h"
#include "report/svg.h"

namespace ettin {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::string labels(const Axis& axis) {
  std::string out;
  for (const Tick& tick : axis.ticks()) out += (out.empty() ? "" : " ") + tick.label;
  return out;
}

// What is wrong with `text` as XML ("" when nothing): tags that do not nest, attributes without
// quotes, bare & or <, text outside the root. Strict where ours is strict: no comments, no CDATA.
std::string xml_fault(std::string_view text) {
  if (text.starts_with("<?xml")) text.remove_prefix(text.find("?>") + 2);
  std::vector<std::string> open;
  bool root_seen = false;
  while (!text.empty()) {
    const size_t tag = text.find('<');
    const std::string_view between = text.substr(0, tag);
    for (size_t at = between.find('&'); at != between.npos; at = between.find('&', at + 1)) {
      if (!between.substr(at).starts_with("&#")) return "a bare &";
    }
    if (open.empty() && between.find_first_not_of(" \n") != between.npos) return "stray text";
    if (tag == text.npos) break;
    text.remove_prefix(tag + 1);
    const bool closes = text.starts_with('/');
    if (closes) text.remove_prefix(1);
    const size_t name_end = text.find_first_of(" />");
    const std::string name(text.substr(0, name_end));
    if (name.empty() || name_end == text.npos) return "a tag without a name";
    text.remove_prefix(name_end);
    while (text.starts_with(' ')) {
      text.remove_prefix(1);
      const size_t equals = text.find("=\"");
      const size_t end = equals == text.npos ? text.npos : text.find('"', equals + 2);
      if (end == text.npos) return "an attribute without quotes in " + name;
      const std::string_view value = text.substr(equals + 2, end - equals - 2);
      if (value.find('<') != value.npos) return "< in an attribute of " + name;
      text.remove_prefix(end + 1);
    }
    const bool empty = text.starts_with('/');
    if (empty) text.remove_prefix(1);
    if (!text.starts_with('>')) return "an unfinished tag " + name;
    text.remove_prefix(1);
    if (closes) {
      if (open.empty() || open.back() != name) return "</" + name + "> closes nothing";
      open.pop_back();
    } else if (!empty) {
      if (open.empty() && root_seen) return "a second root";
      root_seen = true;
      open.push_back(name);
    }
  }
  return open.empty() ? "" : "<" + open.back() + "> stays open";
}

TEST(Axis, TicksAreRoundNumbers) {
  EXPECT_EQ(labels(Axis(0, 10, false, 5)), "0 2 4 6 8 10");
  EXPECT_EQ(labels(Axis(2.31, 3.18, false, 5)), "2.4 2.6 2.8 3.0");
  EXPECT_EQ(labels(Axis(0, 8e-4, false, 4)), "0 0.0002 0.0004 0.0006 0.0008");
  EXPECT_EQ(labels(Axis(0, 3e-5, false, 3)), "0 1e-5 2e-5 3e-5");
  EXPECT_EQ(labels(Axis(0, 1.7e12, false, 4)), "0 500B 1T 1.5T");
  EXPECT_EQ(labels(Axis(-1, 1, false, 4)), "-1.0 -0.5 0 0.5 1.0");
  EXPECT_EQ(labels(Axis(2.30001, 2.30004, false, 3)), "2.30001 2.30002 2.30003 2.30004");
  EXPECT_EQ(labels(Axis(123456000, 123456400, false, 2)), "123.456M 123.4562M 123.4564M");
}

TEST(Axis, LogarithmicTicks) {
  EXPECT_EQ(labels(Axis(1, 1000, true, 5)), "1 10 100 1000");
  EXPECT_EQ(labels(Axis(0.9, 110, true, 10)), "1 2 5 10 20 50 100");
  EXPECT_EQ(labels(Axis(2.3, 10.9, true, 5)), "4 6 8 10");
  EXPECT_EQ(labels(Axis(1e-9, 1e9, true, 6)), "1e-9 1e-6 0.001 1 1000 1M 1B");
  EXPECT_DOUBLE_EQ(Axis(1, 100, true, 5).at(10), 0.5);
}

TEST(Axis, AnyDrawableRangeHasFewTicksInside) {
  for (const double low : {-1e30, -5.0, -1e-30, 0.0, 1e-30, 0.1, 3.0, 1e29, 1e30}) {
    for (const double span : {0.0, 1e-30, 1e-12, 1.0, 7e5, 1e30}) {
      for (const bool logarithmic : {false, true}) {
        if (logarithmic && low <= 0) continue;
        const Axis axis(low, std::max(low, std::min(low + span, 1e30)), logarithmic, 6);
        EXPECT_LT(axis.low(), axis.high());
        EXPECT_LE(axis.ticks().size(), 13U) << low << " " << span;
        for (const Tick& tick : axis.ticks()) {
          EXPECT_GE(axis.at(tick.value), -1e-6) << low << " " << span;
          EXPECT_LE(axis.at(tick.value), 1 + 1e-6) << low << " " << span;
          EXPECT_LE(tick.label.size(), 16U) << tick.label;
        }
      }
    }
  }
}

TEST(Axis, ShortNumbers) {
  EXPECT_EQ(short_number(0, 3), "0");
  EXPECT_EQ(short_number(2.5, 3), "2.5");
  EXPECT_EQ(short_number(1234, 3), "1234");
  EXPECT_EQ(short_number(12345, 3), "12.3k");
  EXPECT_EQ(short_number(999999.9, 3), "1M");
  EXPECT_EQ(short_number(-2e9, 3), "-2B");
  EXPECT_EQ(short_number(0.00003, 3), "3e-5");
  EXPECT_EQ(short_number(1e20, 3), "1e20");
}

TEST(Axis, WhatCanBeDrawn) {
  for (const double x : {0.0, -0.0, 1e-30, -1e30, 2.5}) EXPECT_TRUE(is_drawable(x)) << x;
  for (const double x : {kNan, kInfinity, -kInfinity, 1e31, 1e-31}) EXPECT_FALSE(is_drawable(x));
}

TEST(Curve, SmoothingHasNoLagAndKeepsTheEnds) {
  std::vector<CurvePoint> line;
  for (int i = 0; i < 20; ++i) line.push_back({i * 1.0, i * 3.0});
  for (const int64_t window : {-5, 0, 1, 2, 5, 8, 1000}) {
    const auto out = smooth(line, window);
    ASSERT_EQ(out.size(), line.size());
    for (size_t i = 0; i < line.size(); ++i) EXPECT_NEAR(out[i].y, line[i].y, 1e-12) << window;
  }
  const auto out = smooth(std::vector<CurvePoint>{{0, 6}, {1, 0}, {2, 3}, {3, 9}}, 3);
  EXPECT_DOUBLE_EQ(out[1].y, 3);
  EXPECT_DOUBLE_EQ(out[2].y, 4);
  EXPECT_DOUBLE_EQ(out[3].y, 9);
  EXPECT_TRUE(smooth({}, 3).empty());
}

TEST(Curve, ThinningKeepsExtremesAndEnds) {
  std::vector<CurvePoint> points;
  for (int i = 0; i < 100000; ++i) points.push_back({i * 1.0, std::sin(i * 0.7)});
  points[54321].y = 50;
  points[77777].y = -50;
  const auto out = thin_out(points, 100);
  EXPECT_LE(out.size(), 400U);
  EXPECT_GE(out.size(), 300U);
  EXPECT_EQ(out.front().x, 0);
  EXPECT_EQ(out.back().x, 99999);
  const auto has = [&](double y) {
    return std::any_of(out.begin(), out.end(), [&](const CurvePoint& p) { return p.y == y; });
  };
  EXPECT_TRUE(has(50) && has(-50));
  EXPECT_TRUE(std::is_sorted(out.begin(), out.end(),
                             [](const auto& a, const auto& b) { return a.x < b.x; }));
  // All at one place, or fewer than fit.
  EXPECT_LE(thin_out(std::vector<CurvePoint>(1000, {1, 1}), 10).size(), 4U);
  EXPECT_EQ(thin_out(std::span(points).first(5), 10).size(), 5U);
}

Chart some_chart() {
  Chart chart;
  chart.title = "loss";
  chart.unit = "nats per target";
  chart.x_label = "tokens";
  chart.marks = {{0, "pretrain"}, {600, "decay"}};
  Curve raw{"", CurveStyle::raw, 0, false, {}};
  for (int i = 1; i <= 1000; ++i) raw.points.push_back({i * 1.0, 2 + 8.0 / std::sqrt(i)});
  chart.curves = {raw,
                  {"encoder", CurveStyle::line, 0, false, smooth(raw.points, 9)},
                  {"encoder, validation", CurveStyle::dots, 0, false, {{500, 2.5}, {1000, 2.4}}}};
  return chart;
}

TEST(Svg, IsWellFormedAndSaysWhatItShows) {
  const std::string svg = svg_document(some_chart());
  EXPECT_EQ(xml_fault(svg), "");
  for (const char* part : {">loss<", ">nats per target<", ">tokens<", ">encoder<",
                           ">encoder, validation<", ">decay<", ">pretrain<", "class=\"raw\""}) {
    EXPECT_NE(svg.find(part), std::string::npos) << part;
  }
  EXPECT_EQ(svg.find("http://"), svg.find("http://www.w3.org/2000/svg"));
  EXPECT_EQ(svg.rfind("http://"), svg.find("http://www.w3.org/2000/svg"));
}

TEST(Svg, TextFromOutsideIsEscaped) {
  Chart chart = some_chart();
  const std::string bad = "\"><script>alert('&')</script>\x01\xff\u0085";
  chart.title = chart.unit = chart.x_label = bad;
  chart.marks[1].name = bad;
  for (Curve& curve : chart.curves) curve.name = bad;
  const std::string svg = svg_document(chart);
  EXPECT_EQ(xml_fault(svg), "");
  EXPECT_EQ(svg.find("<script"), std::string::npos);
  EXPECT_EQ(svg.find('\x01'), std::string::npos);
  EXPECT_EQ(escape_xml("a<b>&\"'\n\u00e9"), "a&#60;b&#62;&#38;&#34;&#39;\n\u00e9");
  EXPECT_EQ(escape_xml("\x01\xff\u0085\ufffe"), "\ufffd\ufffd\ufffd\ufffd");
  ReportPage page{bad, bad, {chart}, {{bad, {bad, bad}, {{bad, bad}}}}};
  const std::string html = html_page(page);
  EXPECT_EQ(html.find("<script>alert"), std::string::npos);
  EXPECT_EQ(html.find("alert('"), std::string::npos);
}

TEST(Svg, HostileNumbersDrawWithoutNonsense) {
  const double numbers[] = {0,    -1,    1,     kNan,   kInfinity, -kInfinity,
                            1e30, -1e30, 1e300, 5e-324, 1e-30};
  for (const double a : numbers) {
    for (const double b : numbers) {
      for (const int logs : {0, 1, 2, 3}) {
        Chart chart;
        chart.log_x = (logs & 1) != 0;
        chart.log_y = (logs & 2) != 0;
        chart.marks = {{a, "a"}, {b, "b"}};
        for (const CurveStyle style : {CurveStyle::raw, CurveStyle::line, CurveStyle::dots}) {
          std::vector<CurvePoint> points = {{a, b}, {b, a}};
          if (b < a) std::swap(points[0], points[1]);
          chart.curves.push_back({"x", style, 9, true, points});
        }
        const std::string svg = svg_element(chart);
        EXPECT_EQ(xml_fault(svg), "");
        for (const char* word : {"nan", "inf"}) {
          EXPECT_EQ(svg.find(word), std::string::npos) << word << " " << a << " " << b;
        }
      }
    }
  }
}

TEST(Svg, NothingToDrawIsSaid) {
  EXPECT_NE(svg_element(Chart()).find("nothing to draw"), std::string::npos);
  EXPECT_EQ(xml_fault(svg_document(Chart())), "");
}

TEST(Svg, SpikesDoNotFlattenTheChartAndAreCounted) {
  Chart chart = some_chart();
  chart.curves[0].points[700].y = 5000;
  const std::string svg = svg_element(chart);
  EXPECT_NE(svg.find(">1 step above<"), std::string::npos);
  EXPECT_EQ(svg.find(">4000<"), std::string::npos);
}

TEST(Svg, LongLegendsTakeRows) {
  Chart chart = some_chart();
  for (int i = 0; i < 30; ++i) {
    chart.curves.push_back({std::string(200, 'n'), CurveStyle::line, i, false, {{1, 1}, {2, 2}}});
  }
  const std::string svg = svg_element(chart);
  EXPECT_EQ(xml_fault(svg), "");
  EXPECT_EQ(svg.find(std::string(50, 'n')), std::string::npos);
}

// WCAG 2.1: relative luminance of sRGB, and the contrast of two colours.
double luminance(const std::string& hex) {
  double sum = 0;
  constexpr std::array<double, 3> kWeights = {0.2126, 0.7152, 0.0722};
  for (size_t i = 0; i < 3; ++i) {
    const double c = std::stoi(hex.substr(1 + 2 * i, 2), nullptr, 16) / 255.0;
    sum += kWeights[i] * (c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4));
  }
  return sum;
}

TEST(Svg, ColoursStandOutFromThePaper) {
  const std::string styles = chart_styles();
  const size_t dark_at = styles.find("@media");
  ASSERT_NE(dark_at, std::string::npos);
  for (const std::string& scheme : {styles.substr(0, dark_at), styles.substr(dark_at)}) {
    const auto colour_after = [&](const std::string& selector) {
      const size_t at = scheme.find('#', scheme.find(selector));
      return scheme.substr(at, 7);
    };
    const auto contrast = [&](const std::string& colour) {
      const double a = luminance(colour), b = luminance(colour_after(".paper{"));
      return (std::max(a, b) + 0.05) / (std::min(a, b) + 0.05);
    };
    for (int i = 0; i < kChartColours; ++i) {
      const std::string colour = colour_after(".c" + std::to_string(i) + "{");
      EXPECT_GE(contrast(colour), 3) << colour;
    }
    EXPECT_GE(contrast(colour_after(".muted,")), 4.5);
    EXPECT_GE(contrast(colour_after(".label{")), 4.5);
  }
}

TEST(Html, HoldsEverythingAndAsksForNothing) {
  const ReportPage page{"nano",
                        "two runs",
                        {some_chart(), some_chart()},
                        {{"at the end", {"", "a"}, {{"loss", "2.5"}}}}};
  const std::string html = html_page(page);
  EXPECT_NE(html.find("<th scope=\"row\">loss</th><td>2.5</td>"), std::string::npos);
  EXPECT_NE(html.find("default-src 'none'"), std::string::npos);
  for (const char* outside : {"src=", "href=", "@import", "url(", "fetch("}) {
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
  }
  // The markup is XML too, but for the script and the styles.
  std::string markup = html.substr(html.find("<html"));
  for (const char* name : {"style", "script"}) {
    const size_t begin = markup.find('>', markup.find(std::string("<") + name)) + 1;
    markup.erase(begin, markup.find(std::string("</") + name) - begin);
  }
  EXPECT_EQ(xml_fault(markup), "");
}

}  // namespace
}  // namespace ettin
