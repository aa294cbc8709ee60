#include "report/html.h"

#include <fmt/format.h>

namespace ettin {
namespace {

constexpr const char kPageStyles[] = R"(
:root{color-scheme:light dark}
body{margin:0;background:#f6f8fa;color:#1c2128;
font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif}
main{max-width:1000px;margin:0 auto;padding:28px 20px 48px}
h1{font-size:24px;margin:0}h2{font-size:16px;margin:28px 0 8px}
.subtitle{color:#57606a;margin:2px 0 20px;overflow-wrap:anywhere}
.charts{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:16px}
.charts>:first-child{grid-column:1/-1}
@media (max-width:720px){.charts{grid-template-columns:minmax(0,1fr)}}
figure{margin:0;background:#fff;border:1px solid #d8dee4;border-radius:8px;overflow:hidden}
figure svg{display:block;width:100%;height:auto}
.scroll{overflow-x:auto;background:#fff;border:1px solid #d8dee4;border-radius:8px}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
th,td{padding:6px 14px;text-align:right;border-top:1px solid #e3e6ea;white-space:nowrap}
thead th{border-top:0;color:#57606a;font-weight:600}
th:first-child,td:first-child{text-align:left}tbody th{font-weight:400}
#readout{position:fixed;pointer-events:none;display:none;background:#1c2128;color:#f6f8fa;
border-radius:6px;padding:6px 10px;font-size:12px;line-height:1.45;white-space:nowrap;z-index:1}
.cursor{stroke:#8c959f;stroke-width:1;pointer-events:none}
@media (prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}
.subtitle,thead th{color:#9aa4af}figure,.scroll{background:#161b22;border-color:#30363d}
th,td{border-color:#2b323b}#readout{background:#e6edf3;color:#0d1117}}
@media print{body{background:#fff}figure{break-inside:avoid}}
)";

// Reads a chart off at the pointer: curves are lists of points in the picture's coordinates, and
// the axes in data-x and data-y turn these back into numbers.
constexpr const char kScript[] = R"(
'use strict';
const readout = document.getElementById('readout');
const numbers = text => (text.match(/-?[\d.]+(e[-+]?\d+)?/g) || []).map(Number);
function short(value) {
  const size = Math.abs(value);
  for (const [unit, suffix] of [[1e12, 'T'], [1e9, 'B'], [1e6, 'M'], [1e4, 'k']])
    if (size >= unit) return +(value / (suffix === 'k' ? 1e3 : unit)).toPrecision(4) + suffix;
  return String(+value.toPrecision(4));
}
for (const svg of document.querySelectorAll('svg.chart')) {
  const [left, top, width, height] = numbers(svg.dataset.box);
  const value = (axis, at) => {
    const [low, high, logarithmic] = numbers(axis);
    return logarithmic ? low * (high / low) ** at : low + (high - low) * at;
  };
  const curves = [...svg.querySelectorAll('path[data-name]')].map(path => {
    const flat = numbers(path.getAttribute('d')), points = [];
    for (let i = 0; i + 1 < flat.length; i += 2) points.push([flat[i], flat[i + 1]]);
    return {name: path.dataset.name, points};
  });
  const cursor = document.createElementNS(svg.namespaceURI, 'line');
  cursor.setAttribute('class', 'cursor');
  cursor.style.display = 'none';
  svg.append(cursor);
  const hide = () => { readout.style.display = cursor.style.display = 'none'; };
  svg.addEventListener('pointerleave', hide);
  svg.addEventListener('pointermove', event => {
    const at = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    if (at.x < left || at.x > left + width || at.y < top || at.y > top + height) return hide();
    const lines = [short(value(svg.dataset.x, (at.x - left) / width)) + ' ' + svg.dataset.label];
    for (const {name, points} of curves) {
      let low = 0, high = points.length - 1;  // the nearest point, by bisection
      while (high - low > 1) {
        const middle = (low + high) >> 1;
        if (points[middle][0] < at.x) low = middle; else high = middle;
      }
      const near = at.x - points[low][0] < points[high][0] - at.x ? points[low] : points[high];
      if (Math.abs(near[0] - at.x) > Math.max(12, width / points.length)) continue;
      const number = short(value(svg.dataset.y, (top + height - near[1]) / height));
      lines.push(name ? name + ': ' + number : number);
    }
    readout.replaceChildren(...lines.map(line => {
      const row = document.createElement('div');
      row.textContent = line;
      return row;
    }));
    readout.style.display = 'block';
    const room = innerWidth - readout.offsetWidth - 8;
    readout.style.left = Math.min(event.clientX + 14, Math.max(room, 8)) + 'px';
    readout.style.top = event.clientY + 14 + 'px';
    for (const [name, x] of [['x1', at.x], ['x2', at.x], ['y1', top], ['y2', top + height]])
      cursor.setAttribute(name, x);
    cursor.style.display = 'inline';
  });
}
)";

std::string table_html(const ReportTable& table) {
  std::string out = fmt::format("<h2>{}</h2>\n<div class=\"scroll\"><table>\n<thead><tr>",
                                escape_xml(table.title));
  for (const std::string& column : table.columns) {
    out += fmt::format("<th scope=\"col\">{}</th>", escape_xml(column));
  }
  out += "</tr></thead>\n<tbody>\n";
  for (const std::vector<std::string>& row : table.rows) {
    out += "<tr>";
    for (size_t i = 0; i < row.size(); ++i) {
      out += i == 0 ? fmt::format("<th scope=\"row\">{}</th>", escape_xml(row[i]))
                    : fmt::format("<td>{}</td>", escape_xml(row[i]));
    }
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

}  // namespace

std::string html_page(const ReportPage& page) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
      "style-src 'unsafe-inline'; script-src 'unsafe-inline'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{0}</title>\n<style>{1}{2}</style>\n</head>\n<body>\n<main>\n<h1>{0}</h1>\n"
      "<p class=\"subtitle\">{3}</p>\n<div class=\"charts\">\n",
      escape_xml(page.title), kPageStyles, chart_styles(), escape_xml(page.subtitle));
  for (const Chart& chart : page.charts) {
    out += fmt::format("<figure>\n{}</figure>\n", svg_element(chart));
  }
  out += "</div>\n";
  for (const ReportTable& table : page.tables) out += table_html(table);
  return out + fmt::format(
                   "</main>\n<div id=\"readout\"></div>\n<script>{}</script>\n</body>\n"
                   "</html>\n",
                   kScript);
}

}  // namespace ettin
