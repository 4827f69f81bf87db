// A command line without anything unusual, understood without CLI11, which takes longer than `pidleak guard` may cost.
#pragma once

#include "harness/cli/command_line.hpp"

namespace pidleak::cli {

/// Takes `VERB OPTIONS -- COMMAND` apart, and sets what the options say. False: there is something unusual among them,
/// such as a mistake, `--help`, a unit, or an option that is not one of these. Then what was set counts for nothing:
/// command_line's run() is to be asked.
bool take_plain(const std::vector<Option> &options, const std::vector<std::string> &arguments,
                std::vector<std::string> &command);

} // namespace pidleak::cli
