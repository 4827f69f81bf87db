// What is said of what was ended.
#pragma once

#include "harness/os/ending.hpp"

#include <string>

namespace pidleak::guard {

/// `ended`, or what could not be, and why.
std::string words_of(const os::Ending &ending);

} // namespace pidleak::guard
