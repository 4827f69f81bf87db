// What belongs to this installation, wherever that is: found from the running program.
#pragma once

#include <string>

namespace pidleak::os {

/// The program called `name`: beside the running executable, or in ../libexec/pidleak. Throws std::runtime_error naming
/// both places.
std::string sibling_program(const std::string &name);
/// The same for a file.
std::string sibling_file(const std::string &name);

} // namespace pidleak::os
