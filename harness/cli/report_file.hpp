// A leak report that the user names.
#pragma once

#include "harness/cli/command_line.hpp"
#include "reports/document.hpp"

namespace pidleak::cli {

/// The bytes of a file, or of standard input if it is called `-`. Throws UsageError: it can't be read, or is larger
/// than `most` bytes.
std::string read_bounded(const std::string &path, std::size_t most);

/// Throws UsageError where more than one of them is `-`.
void check_standard_input(const std::vector<std::string> &paths);

/// The text of a leak report. Throws UsageError.
std::string read_report_text(const std::string &path);
/// One report after the other, never all of them: a file may have any size. Throws UsageError.
void read_reports(const std::string &path, const std::function<void(reports::Report)> &on_report);
/// A document to be read more than once: a file is opened anew each time, and must be as it was; what else has the
/// name, or is standard input, is kept in memory. Throws UsageError.
std::function<reports::Content()> report_content(const std::string &path);

/// The reports in it. Throws UsageError, for a file that is no leak report as well.
std::vector<reports::Report> read_report_file(const std::string &path);

} // namespace pidleak::cli
