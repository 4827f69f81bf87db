// What a replay's processes leave besides themselves: System V segments, files in /dev/shm and TMPDIR, sockets there.
#pragma once

#include "harness/replay/sandbox.hpp"
#include "reports/report.hpp"

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace pidleak::replay {

class Leftovers {
public:
  /// As it is now. `directories`: besides TMPDIR and /dev/shm; sockets and pid files there are told. `inside` must
  /// outlive this.
  explicit Leftovers(const Inside &inside, std::vector<std::string> directories = {});
  /// What has come since; nothing: nothing has. That is a fact beside the verdict, which nothing has to show.
  std::optional<reports::Evidence> show() const;

private:
  std::set<std::string> look() const;
  const Inside &inside_;
  std::vector<std::string> directories_;
  std::set<std::string> before_;
};

} // namespace pidleak::replay
