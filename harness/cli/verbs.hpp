// The verbs of the command line, one file each: what it takes, and what it does.
#pragma once

#include "harness/cli/command_line.hpp"

namespace pidleak::cli {

Command list_verb();
Command run_verb();
Command sweep_verb();
Command compare_verb();
Command soak_verb();
Command ablate_verb();
Command report_verb();
Command check_adapter_verb();
Command guard_verb();
Command why_verb();
Command doctor_verb();
/// `application` gives all that can be completed.
Command completions_verb(Command (*application)());

/// `pidleak report merge`.
Command merge_verb();

/// Colour is for terminals, and not where NO_COLOR is set (no-color.org).
bool wants_colour(int fd);

} // namespace pidleak::cli
