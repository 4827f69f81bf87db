#include "harness/cli/shell.hpp"

namespace pidleak::cli {

std::string shell_quoted(const std::string &text) {
  std::string quoted = "'";
  for (char c : text)
    quoted += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return quoted + "'";
}

std::string command_line_of(const std::vector<std::string> &words) {
  constexpr const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";
  std::string text;
  for (const auto &word : words) {
    bool is_plain = !word.empty() && word.find_first_not_of(plain) == word.npos;
    text += (text.empty() ? "" : " ") + (is_plain ? word : shell_quoted(word));
  }
  return text;
}

} // namespace pidleak::cli
