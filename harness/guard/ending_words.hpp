// What is said of what was ended.
#pragma once

#include "harness/os/ending.hpp"

#include <string>
#include <vector>

namespace pidleak::guard {

/// `ended`, or what could not be, and why.
std::string words_of(const os::Ending &ending);

/// That work may go on unseen: of programs that hand it to a daemon, Genealogy::handed_over(). Empty: there was none.
std::string hint_of(const std::vector<std::string> &handed_over);

} // namespace pidleak::guard
