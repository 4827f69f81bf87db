// What the renderings for people share: columns, colours, repeated replays, the cells of the table of verdicts.
#pragma once

#include "reports/tally.hpp"
#include "reports/terminal.hpp"

#include <string>
#include <utility>
#include <vector>

namespace pidleak::reports::layout {

constexpr std::size_t widest = 120; // columns of a line

using Row = std::vector<std::string>;

/// Pads all cells of a column to one width; a column that is empty in all rows stays empty.
std::vector<Row> align(std::vector<Row> rows, const std::vector<std::size_t> &right_aligned = {});
/// One line, without empty cells and trailing spaces.
std::string join(const Row &row);

/// `head` and `text`, broken at spaces into lines of at most 120 columns as far as words allow; further lines are
/// indented by `hanging`. Ends with a line break.
std::string wrapped(const std::string &head, const std::string &text, std::size_t hanging);

std::string coloured(Verdict verdict, const std::string &text, const TerminalOptions &options);

/// The condition's word, printable; empty if the report has no such condition.
std::string condition(const Report &report, const std::string &name);

/// What one scenario on one pool is replayed with, one after the other, printable: the start method; on a server what its
/// workers do. Empty for what guard wrote.
std::string variant(const Report &report);

/// False where a 0 would read as a count that was taken.
bool counted(const Report &report);

/// `incident on cpython36 with fork`, printable.
std::string title_of(const Report &report);

/// The table of verdicts, its head first: scenario, pool, start method, verdict, three counts, time, and what was
/// expected if there is a deviation. A row for each tally, all printable.
std::vector<Row> table_of(const Tallies &tallies, const Deviation &deviation);
/// Machine, kernel and distribution, as far as rows differ in them: columns of the table.
std::vector<std::pair<const char *, std::string Report::*>> differing_labels(const Tallies &tallies);

} // namespace pidleak::reports::layout
