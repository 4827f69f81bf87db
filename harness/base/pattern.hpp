// A regular expression, extended POSIX as grep -E has it: regex(7). std::regex takes a second to compile, each time.
#pragma once

#include <regex.h>

#include <stdexcept>
#include <string>

namespace pidleak {

class Pattern {
public:
  /// Throws std::invalid_argument that says what is wrong with it.
  explicit Pattern(const std::string &text) {
    int error = ::regcomp(&compiled_, text.c_str(), REG_EXTENDED | REG_NOSUB);
    if (error == 0)
      return;
    char why[256] = {};
    ::regerror(error, &compiled_, why, sizeof why);
    throw std::invalid_argument(why);
  }
  Pattern(const Pattern &) = delete;
  Pattern &operator=(const Pattern &) = delete;
  ~Pattern() { ::regfree(&compiled_); }

  bool is_in(const std::string &line) const { return ::regexec(&compiled_, line.c_str(), 0, nullptr, 0) == 0; }

private:
  regex_t compiled_{};
};

} // namespace pidleak
