// What renderings share: columns, colours, repeated replays.
#pragma once

#include "reports/terminal.hpp"

#include <string>
#include <utility>
#include <vector>

namespace pidleak::reports::layout {

using Row = std::vector<std::string>;

/// Pads all cells of a column to one width; a column that is empty in all rows stays empty.
std::vector<Row> align(std::vector<Row> rows, const std::vector<std::size_t> &right_aligned = {});
/// One line, without empty cells and trailing spaces.
std::string join(const Row &row);

std::string coloured(Verdict verdict, const std::string &text, const TerminalOptions &options);

/// The condition's word, printable; empty if the report has no such condition.
std::string condition(const Report &report, const std::string &name);

/// False where a 0 would read as if somebody had looked.
bool counted(const Report &report);

/// Replays of the same thing, in order.
struct Group {
  std::vector<const Report *> reports;
  const Report &first() const { return *reports.front(); }
};

std::vector<Group> group(const std::vector<Report> &reports);
/// Each verdict and how often it came, in order of appearance.
std::vector<std::pair<Verdict, int>> verdicts_of(const Group &group);

} // namespace pidleak::reports::layout
