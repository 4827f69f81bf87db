// What the renderings for people share: columns, colours, repeated replays, the cells of the table of verdicts.
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

/// `incident on cpython36 with fork`, printable.
std::string title_of(const Report &report);

/// Replays of the same thing, in order.
struct Group {
  std::vector<const Report *> reports;
  const Report &first() const { return *reports.front(); }
};

std::vector<Group> group(const std::vector<Report> &reports);
/// Each verdict and how often it came, in order of appearance.
std::vector<std::pair<Verdict, int>> verdicts_of(const Group &group);
/// The first replay with this verdict, of those where a process remains if there are any. There must be one.
const Report &first_with(Verdict verdict, const Group &group);

/// The table of verdicts, its head first: scenario, pool, start method, verdict, three counts, time, and what was
/// expected if there is a deviation. A row for each group, all printable.
std::vector<Row> table_of(const std::vector<Group> &groups, const Deviation &deviation);

} // namespace pidleak::reports::layout
