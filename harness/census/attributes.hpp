// What a process is, besides its name and state: what its owner needs to know it by, and what it costs.
#pragma once

#include "harness/os/procfs.hpp"

#include <optional>
#include <string>
#include <vector>

namespace pidleak::census {

/// Of a zombie only its age and its time on a CPU. Paths may have any bytes.
struct Attributes {
  std::string executable; // path; empty: it may not be read
  bool executable_deleted = false;
  bool name_lies = false; // the command line names another program
  std::string directory;  // its working directory; empty: the caller's own, or it may not be read
  bool directory_deleted = false;
  std::string user; // who owns it: a name, or a number without one; empty: the caller's user
  double age_ms = 0;
  double cpu_ms = 0;                     // that it has had a CPU for, in user and kernel mode
  std::optional<long> rss_kib, pss_kib;  // resident; the same with shared pages divided among those that share them
  std::vector<std::string> listens = {}; // `tcp 127.0.0.1:8765`, `udp ...`, `unix PATH`
  std::vector<std::string> locks = {};   // locks that it holds on files: `flock PATH`, `fcntl PATH`
  std::vector<std::string> outputs = {}; // of the caller's own, which its readers wait for: `stdout`, `stderr`
  bool is_namespace_init = false;        // the first of a PID namespace: SIGTERM's default does nothing there
};

/// Reads them. What may not be read stays as it is above. `status`: nothing of a zombie.
Attributes read_attributes(pid_t pid, const os::ProcStat &stat, const std::optional<os::ProcStatus> &status,
                           const std::vector<std::string> &command_line, const std::vector<os::ProcFd> &fds);

} // namespace pidleak::census
