// Reports as JUnit XML, as Jenkins, GitLab, GitHub's reporters and Maven's Surefire read it.
#pragma once

#include "reports/outcome.hpp"

namespace pidleak::reports {

/// A test suite for each scenario; a test case for each replay, called after its pool and start method, and `#N` where
/// there are several. leaked, hung and invalid are failures of that type, broken is an error. What remains is in the
/// failure's text; of a test that passed all the same (suppressed, or as expected) in its system-out. Well-formed XML
/// 1.0 whatever the names hold.
std::string render_junit(const std::vector<Report> &reports, const Deviation &deviation = {});

} // namespace pidleak::reports
