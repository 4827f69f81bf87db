// The sources of facts about processes: does each work here? An answer counts only if it has content: a file that is
// masked (/dev/null bound over it, as container engines do), empty, or of another PID namespace is no answer.
//
// Each is tried on something whose answer is known: this process, or a child made for it.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace pidleak::os {

/// Why this process can't see its children and end them without the risk of ending others, with what to do; empty: it
/// can. It needs a /proc of its own PID namespace, lists of children in it (CONFIG_PROC_CHILDREN), and pidfds (Linux
/// 5.4), for all of which a seccomp filter may say no. Some six system calls. Holds nothing afterwards.
std::string why_blind();

/// Whether /proc/timer_list shows alarms (ITIMER_REAL), from its text: it has timers with the names of their functions
/// (CONFIG_KALLSYMS). Empty where root may not read it, and where a container engine has masked it.
enum class Alarms { none, some, not_shown };
Alarms parse_timer_list(std::string_view text);
/// Of this machine, now. not_shown where the file can't be read.
Alarms read_alarms();

/// One source, as `pidleak doctor` shows it.
struct Source {
  std::string name;
  std::string lacks;      // why it does not work here; empty: it works
  std::string without_it; // what is weaker then
};
/// Tries all of them. Forks once. Throws SyscallError if it can't.
std::vector<Source> try_sources();

} // namespace pidleak::os
