// What `pidleak guard` says on standard error.
#pragma once

#include "reports/report.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace pidleak::cli {

/// Standard error may have no reader. That must not keep guard from its work, and fmt::print would throw.
template <class... Values>
void say(fmt::format_string<Values...> format, Values &&...values) {
  std::fputs(fmt::format(format, std::forward<Values>(values)...).c_str(), stderr);
}

/// What has remained and accumulated. False: guard did not watch, and there is nothing to say.
bool show(const reports::Report &report, bool keep);

/// What accumulates while it runs: these of the growth's groups, but for those that a rule allows. False: none is left.
bool show_growth(const reports::Report &report, const std::vector<std::size_t> &news);

} // namespace pidleak::cli
