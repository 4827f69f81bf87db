// A file that the user names, to be written.
#pragma once

#include <string>

namespace pidleak::cli {

constexpr const char *standard_output = "/dev/stdout";

/// The file that an option names: `-` is standard output. Throws UsageError if it is empty.
std::string output_path(const std::string &given);

/// Whether it is a file or can become one: what else has the name can be written once, and not be replaced.
bool is_regular_or_new(const std::string &path);

/// Throws UsageError if the file that `option` names can't be written: before anything else is done.
void check_output(const std::string &option, const std::string &path);

} // namespace pidleak::cli
