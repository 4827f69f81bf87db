// Text as a shell reads it.
#pragma once

#include <string>
#include <vector>

namespace pidleak::cli {

/// What bash, zsh and fish read as one word, whatever is in it.
std::string shell_quoted(const std::string &text);

/// The words as one would write them, quoted where they must be.
std::string command_line_of(const std::vector<std::string> &words);

} // namespace pidleak::cli
