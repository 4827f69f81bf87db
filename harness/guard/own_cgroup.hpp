// The cgroup that a service has to itself, if it has one: it shows what has lost its parent.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

namespace pidleak::guard {

/// Its directory: of the pids controller, name=systemd or version 2, with the service in it, and the calling process
/// neither in it nor below it. Empty: there is none, or it can't be read.
std::string own_cgroup_of(pid_t service);

/// Who is in it or below it, as this PID namespace numbers them. No zombies. Empty of one that is gone.
std::vector<pid_t> members_of_cgroup(const std::string &directory);

} // namespace pidleak::guard
