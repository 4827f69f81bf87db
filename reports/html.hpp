// Reports as one HTML page, for a browser: overview, and for each report its evidence, its timeline and what remains.
//
// The page needs nothing but itself, and its Content-Security-Policy lets it ask for nothing. Whatever bytes the
// reports hold, they stay text: they travel as JSON in which no markup can start, and the page's script shows them
// as text only.
#pragma once

#include "reports/report.hpp"

namespace pidleak::reports {

/// Without JavaScript the page shows the table of verdicts alone, and says so.
std::string render_html(const std::vector<Report> &reports);

} // namespace pidleak::reports
