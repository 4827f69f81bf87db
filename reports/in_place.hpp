// Writing into a file that can't be replaced, or must not be, as it is more than its name and its content.
#pragma once

#include "reports/content.hpp"
#include "reports/destination.hpp"

namespace pidleak::reports {

/// Opens it and changes nothing. Throws SyscallError.
os::UniqueFd open_in_place(const Destination &destination);

/// Overwrites it. Not at one stroke, as a rename is: a reader may see half of it, and so does the next one if the
/// writer is killed or the machine stops. But what a full disk, a quota or a limit refuses leaves the old content.
/// Throws SyscallError.
void write_in_place(const Destination &destination, const Content &content);

} // namespace pidleak::reports
