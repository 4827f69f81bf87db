// Orphans that came to guard and ended in time: no leak, and yet what its author may want to know of (--warn-adopted).
#pragma once

#include "harness/census/genealogy.hpp"
#include "reports/report.hpp"

#include <map>
#include <string>
#include <tuple>
#include <vector>

namespace pidleak::guard {

class Adopted {
public:
  /// The calling process has adopted and reaped `pid`, and the genealogy has heard of its end.
  void note(pid_t pid, const census::Genealogy &genealogy);
  /// Those alike together, the most first.
  std::vector<reports::AdoptedGroup> groups() const;

private:
  std::map<std::tuple<std::string, std::vector<std::string>, bool>, std::size_t> counts_; // name, creator, ended first
};

} // namespace pidleak::guard
