// A page of charts and tables: one HTML file that needs nothing from outside.
#pragma once

#include <string>
#include <vector>

#include "report/svg.h"

namespace ettin {

struct ReportTable {
  std::string title;
  std::vector<std::string> columns;            // the first names the rows
  std::vector<std::vector<std::string>> rows;  // as long as columns
};

struct ReportPage {
  std::string title, subtitle;
  std::vector<Chart> charts;  // the first is as wide as the page, the others go two in a row
  std::vector<ReportTable> tables;
};

// Charts are read off with the pointer by a small script in the page; a content security policy
// keeps everything else out.
std::string html_page(const ReportPage& page);

}  // namespace ettin
