// Reports as Markdown, for the summary of a CI job: GITHUB_STEP_SUMMARY, a GitLab note, a pull request's comment.
#pragma once

#include "reports/layout.hpp"
#include "reports/outcome.hpp"
#include "reports/tally.hpp"

namespace pidleak::reports {

/// The table of verdicts. Then, for each of its rows that has something to tell: the reason, what was not shown, and
/// the remaining processes with their causes, folded up.
std::string render_markdown(const Tallies &tallies, const Deviation &deviation = {});

/// A table, its head first, whose cells are any bytes.
std::string markdown_table(std::vector<layout::Row> rows);

/// Any bytes as one line of text that Markdown shows as it is, in a table's cell as well.
std::string markdown_text(const std::string &bytes);

} // namespace pidleak::reports
