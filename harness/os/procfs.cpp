#include "harness/os/procfs.hpp"

#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"
#include "harness/os/words.hpp"

#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>

#include <algorithm>
#include <charconv>
#include <memory>

namespace pidleak::os {
namespace {

bool means_gone_or_forbidden(int error) {
  return error == ENOENT || error == ESRCH || error == EACCES || error == EPERM;
}

std::optional<std::string> read_proc(const std::string &path) {
  try {
    return read_file(path);
  } catch (const SyscallError &e) {
    if (means_gone_or_forbidden(e.error()))
      return {};
    throw;
  }
}

std::optional<std::string> read_link(const std::string &path) {
  std::string target(4096, '\0');
  ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
  if (size < 0) {
    if (means_gone_or_forbidden(errno))
      return {};
    if (errno == ENAMETOOLONG) // the kernel prints a path into one page
      return "(path too long)";
    throw_errno("readlink({})", path);
  }
  target.resize(static_cast<std::size_t>(size));
  return target;
}

/// The names in a directory that are numbers; nothing if it can't be read.
std::optional<std::vector<int>> numbered_entries(const std::string &path) {
  std::unique_ptr<DIR, int (*)(DIR *)> dir(::opendir(path.c_str()), ::closedir);
  if (!dir) {
    if (means_gone_or_forbidden(errno))
      return {};
    throw_errno("opendir({})", path);
  }
  std::vector<int> numbers;
  while (const dirent *entry = ::readdir(dir.get())) {
    std::string_view name = entry->d_name;
    int number = 0;
    auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
    if (error == std::errc() && end == name.data() + name.size())
      numbers.push_back(number);
  }
  return numbers;
}

template <class Parsed>
std::optional<Parsed> parse_file(const std::string &path, std::optional<Parsed> (*parse)(std::string_view)) {
  auto text = read_proc(path);
  return text ? parse(*text) : std::nullopt;
}

std::string proc_path(pid_t pid, std::string_view name) { return fmt::format("/proc/{}/{}", pid, name); }
std::string thread_path(pid_t pid, pid_t thread, std::string_view name) {
  return fmt::format("/proc/{}/task/{}/{}", pid, thread, name);
}

} // namespace

std::optional<ProcStat> parse_stat(std::string_view text) {
  auto open = text.find('('), close = text.rfind(')');
  if (open == text.npos || close == text.npos || close < open)
    return {};
  ProcStat stat;
  stat.comm = text.substr(open + 1, close - open - 1);
  auto before = split_words(text.substr(0, open));
  auto fields = split_words(text.substr(close + 1)); // fields[0] is field 3 of the man page
  if (before.size() != 1 || !parse_number(before[0], stat.pid) || fields.size() < 20 || fields[0].size() != 1)
    return {};
  stat.state = fields[0][0];
  if (!parse_number(fields[1], stat.parent) || !parse_number(fields[2], stat.process_group) ||
      !parse_number(fields[3], stat.session) || !parse_number(fields[17], stat.threads) ||
      !parse_number(fields[19], stat.start_ticks))
    return {};
  std::uint64_t user = 0, system = 0, flags = 0;
  if (!parse_number(fields[6], flags) || !parse_number(fields[11], user) || !parse_number(fields[12], system))
    return {};
  stat.cpu_ticks = user + system;
  stat.has_executed = (flags & 0x40) == 0; // PF_FORKNOEXEC of linux/sched.h, the same since Linux 2.6
  if (fields.size() > 49)                  // Linux 3.5
    parse_number(fields[49], stat.exit_code);
  return stat;
}

std::optional<ProcStat> read_stat(pid_t pid) { return parse_file(proc_path(pid, "stat"), parse_stat); }
bool is_stopped(pid_t pid) {
  auto stat = read_stat(pid);
  return stat && stat->state == 'T';
}
std::optional<ProcStat> read_thread_stat(pid_t pid, pid_t thread) {
  return parse_file(thread_path(pid, thread, "stat"), parse_stat);
}

std::string SignalMask::hex() const { return fmt::format("{:016x}", bits_); }

std::optional<ProcStatus> parse_status(std::string_view text) {
  ProcStatus status;
  int masks = 0;
  while (!text.empty()) {
    auto line = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(line.size() + 1, text.size()));
    auto colon = line.find(':');
    if (colon == line.npos)
      return {};
    auto key = line.substr(0, colon);
    auto words = [rest = line.substr(colon + 1)] { return split_words(rest); }; // of some of the sixty lines alone
    auto number = [&](auto &into, std::size_t of = 1, std::size_t at = 0) {
      if (auto all = words(); all.size() == of)
        parse_number(all[at], into);
    };
    auto mask = [&](SignalMask &into) {
      auto all = words();
      std::uint64_t bits = 0;
      if (all.size() == 1 && parse_number(all[0], bits, 16)) {
        into = SignalMask(bits);
        ++masks;
      }
    };
    if (key == "State") {
      if (auto all = words(); !all.empty())
        status.state = all[0][0];
    } else if (key == "SigPnd")
      mask(status.thread_pending);
    else if (key == "ShdPnd")
      mask(status.shared_pending);
    else if (key == "SigBlk")
      mask(status.blocked);
    else if (key == "SigIgn")
      mask(status.ignored);
    else if (key == "SigCgt")
      mask(status.caught);
    else if (key == "Uid") // real, effective, saved, of the file system
      number(status.user, 4, 1);
    else if (key == "VmRSS") {
      auto all = words();
      if (long kib = 0; !all.empty() && parse_number(all[0], kib))
        status.resident_kib = kib;
    } else if (key == "TracerPid")
      number(status.tracer);
    else if (key == "voluntary_ctxt_switches")
      number(status.voluntary_switches);
    else if (key == "nonvoluntary_ctxt_switches")
      number(status.involuntary_switches);
    else if (key == "NSpid")
      for (auto word : words()) {
        pid_t pid = 0;
        if (parse_number(word, pid))
          status.namespace_pids.push_back(pid);
      }
  }
  // Without all five the text is cut off, or no status: empty sets would say that every signal has its default.
  return masks == 5 ? std::optional(status) : std::nullopt;
}

std::optional<ProcStatus> read_status(pid_t pid) { return parse_file(proc_path(pid, "status"), parse_status); }
std::optional<ProcStatus> read_thread_status(pid_t pid, pid_t thread) {
  return parse_file(thread_path(pid, thread, "status"), parse_status);
}

SignalAction action_of(const ProcStatus &status, int signal) {
  return status.blocked.contains(signal)   ? SignalAction::blocked
         : status.ignored.contains(signal) ? SignalAction::ignored
         : status.caught.contains(signal)  ? SignalAction::handler
                                           : SignalAction::default_;
}

std::optional<ProcSyscall> parse_syscall(std::string_view text) {
  auto words = split_words(text);
  ProcSyscall call;
  if (words.size() == 1 && words[0] == "running") {
    call.running = true;
    return call;
  }
  if (words.size() != 3 && words.size() != 9) // "-1 SP PC", or the number, six arguments, SP, PC
    return {};
  if (!parse_number(words[0], call.number) || (words.size() == 3 && call.number != -1))
    return {};
  for (std::size_t i = 0; words.size() == 9 && i < 6; ++i)
    if (!words[i + 1].starts_with("0x") || !parse_number(words[i + 1].substr(2), call.arguments[i], 16))
      return {};
  return call;
}

std::optional<ProcSyscall> read_syscall(pid_t pid, pid_t thread) {
  return parse_file(thread_path(pid, thread, "syscall"), parse_syscall);
}

std::string syscall_name(long number) {
  // Those that processes wait in. A blocked thread in any other call is shown by its number.
  static const std::map<long, const char *> names = {
#define PIDLEAK_NAME(call) {SYS_##call, #call}
      PIDLEAK_NAME(read),
      PIDLEAK_NAME(write),
      PIDLEAK_NAME(readv),
      PIDLEAK_NAME(openat),
      PIDLEAK_NAME(futex),
      PIDLEAK_NAME(wait4),
      PIDLEAK_NAME(waitid),
      PIDLEAK_NAME(ppoll),
      PIDLEAK_NAME(pselect6),
      PIDLEAK_NAME(epoll_pwait),
      PIDLEAK_NAME(epoll_pwait2),
      PIDLEAK_NAME(nanosleep),
      PIDLEAK_NAME(recvmsg),
      PIDLEAK_NAME(recvfrom),
      PIDLEAK_NAME(sendmsg),
      PIDLEAK_NAME(sendto),
      PIDLEAK_NAME(writev),
      PIDLEAK_NAME(accept),
      PIDLEAK_NAME(accept4),
      PIDLEAK_NAME(connect),
      PIDLEAK_NAME(rt_sigsuspend),
      PIDLEAK_NAME(rt_sigtimedwait),
      PIDLEAK_NAME(clock_nanosleep),
      PIDLEAK_NAME(exit_group),
      PIDLEAK_NAME(fcntl),
      PIDLEAK_NAME(flock),
      PIDLEAK_NAME(semtimedop),
      PIDLEAK_NAME(mq_timedreceive),
      PIDLEAK_NAME(restart_syscall),
      PIDLEAK_NAME(clone),
      PIDLEAK_NAME(clone3),
      PIDLEAK_NAME(execve),
      PIDLEAK_NAME(execveat),
      PIDLEAK_NAME(kill),
      PIDLEAK_NAME(tgkill),
      PIDLEAK_NAME(msgrcv),
      PIDLEAK_NAME(msgsnd),
      PIDLEAK_NAME(semop),
      PIDLEAK_NAME(io_uring_enter),
      PIDLEAK_NAME(sendfile),
      PIDLEAK_NAME(splice),
      PIDLEAK_NAME(fsync),
      PIDLEAK_NAME(ioctl),
      PIDLEAK_NAME(mq_timedsend),
#ifdef SYS_poll // the older calls that x86-64 still has
      PIDLEAK_NAME(open),
      PIDLEAK_NAME(poll),
      PIDLEAK_NAME(select),
      PIDLEAK_NAME(epoll_wait),
      PIDLEAK_NAME(pause),
      PIDLEAK_NAME(fork),
      PIDLEAK_NAME(vfork),
#endif
#undef PIDLEAK_NAME
  };
  auto found = names.find(number);
  return found == names.end() ? fmt::format("syscall {}", number) : found->second;
}

std::vector<pid_t> parse_pid_list(std::string_view text) {
  std::vector<pid_t> pids;
  for (auto word : split_words(text))
    if (pid_t pid = 0; parse_number(word, pid))
      pids.push_back(pid);
  return pids;
}

std::vector<pid_t> read_threads(pid_t pid) {
  return numbered_entries(proc_path(pid, "task")).value_or(std::vector<int>{});
}

std::vector<pid_t> read_children(pid_t pid, pid_t thread) {
  return parse_pid_list(read_proc(thread_path(pid, thread, "children")).value_or(""));
}

namespace {

/// Whether to read the main thread's list alone. The links of task/ are two and its threads (proc_task_getattr in
/// fs/proc/base.c): a quarter of what listing it costs. What refuses stat(2) refuses opendir(3) as well, and most
/// processes have one thread: better those children than none.
bool is_main_thread_alone(pid_t pid) {
  struct stat task {};
  if (::stat(proc_path(pid, "task").c_str(), &task) != 0)
    return errno != ENOENT && errno != ESRCH;
  return task.st_nlink == 3;
}

} // namespace

std::vector<pid_t> read_children(pid_t pid) {
  if (is_main_thread_alone(pid))
    return read_children(pid, pid);
  std::vector<pid_t> children;
  for (pid_t thread : read_threads(pid))
    for (pid_t child : read_children(pid, thread))
      children.push_back(child);
  return children;
}

std::vector<pid_t> read_pids() { return numbered_entries("/proc").value_or(std::vector<pid_t>()); }

std::optional<pid_t> newest_pid() {
  const char *path = "/proc/loadavg";
  struct statfs system {};
  if (::statfs(path, &system) != 0 || system.f_type != PROC_SUPER_MAGIC)
    return {};
  auto text = read_proc(path).value_or("");
  auto words = split_words(text);
  pid_t newest = 0;
  bool is_told = !words.empty() && parse_number(words.back(), newest) && newest > 0; // gVisor says 0
  return is_told ? std::optional(newest) : std::nullopt;
}

std::vector<pid_t> read_lineage(pid_t pid, pid_t top) {
  std::vector<pid_t> lineage;
  while (pid > 0) {
    lineage.push_back(pid);
    auto stat = pid == top ? std::nullopt : read_stat(pid);
    pid = stat ? stat->parent : 0;
  }
  return lineage;
}

std::vector<std::string> read_command_line(pid_t pid) {
  std::vector<std::string> arguments;
  std::string text = read_proc(proc_path(pid, "cmdline")).value_or("");
  for (std::string_view rest = text; !rest.empty();) {
    auto argument = rest.substr(0, rest.find('\0'));
    arguments.emplace_back(argument);
    rest.remove_prefix(std::min(argument.size() + 1, rest.size()));
  }
  return arguments;
}

std::optional<std::string> read_executable(pid_t pid) { return read_link(proc_path(pid, "exe")); }

std::vector<std::vector<std::string>> fdinfo_lines(std::string_view info, std::string_view key) {
  std::vector<std::vector<std::string>> lines;
  while (!info.empty()) {
    auto line = info.substr(0, info.find('\n'));
    info.remove_prefix(std::min(line.size() + 1, info.size()));
    if (!line.starts_with(key) || !line.substr(key.size()).starts_with(':'))
      continue;
    auto words = split_words(line.substr(key.size() + 1));
    lines.emplace_back(words.begin(), words.end());
  }
  return lines;
}

bool has_own_abi(pid_t pid) {
  for (pid_t thread : read_threads(pid)) { // the first thread that is still there: a leader that has exited shows none
    auto program = UniqueFd::adopt(::open(thread_path(pid, thread, "exe").c_str(), O_RDONLY | O_CLOEXEC));
    if (!program && errno == ENOENT)
      continue;
    char start[EI_CLASS + 1] = {};
    return program && ::read(program.get(), start, sizeof start) == sizeof start &&
           start[EI_CLASS] == (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32);
  }
  return false;
}

namespace {

/// Where /proc tells of what it has open, and the numbers. A leader that has exited holds nothing any more; the other
/// threads do.
std::optional<std::pair<std::string, std::vector<int>>> find_fds(pid_t pid) {
  auto directory = fmt::format("/proc/{}", pid);
  auto numbers = numbered_entries(directory + "/fd");
  if (!numbers || !numbers->empty())
    return numbers ? std::optional(std::pair(directory, std::move(*numbers))) : std::nullopt;
  for (pid_t thread : read_threads(pid)) {
    auto of_thread = fmt::format("{}/task/{}", directory, thread);
    if (auto its = thread != pid ? numbered_entries(of_thread + "/fd") : std::nullopt; its && !its->empty())
      return std::pair(of_thread, std::move(*its));
  }
  return std::pair(directory, std::vector<int>());
}

} // namespace

std::optional<std::vector<ProcFd>> read_fds(pid_t pid, const std::function<bool(const std::string &)> &is_wanted) {
  auto found = find_fds(pid);
  if (!found)
    return {};
  const auto &[directory, numbers] = *found;
  std::vector<ProcFd> fds;
  for (int number : numbers) {
    auto target = read_link(fmt::format("{}/fd/{}", directory, number));
    if (!target || (is_wanted && !is_wanted(*target))) // closed since it was listed
      continue;
    auto info = read_proc(fmt::format("{}/fdinfo/{}", directory, number));
    if (!info)
      continue;
    ProcFd fd{.number = number, .target = *target, .flags = 0, .info = std::move(*info)};
    if (auto flags = fdinfo_lines(fd.info, "flags"); !flags.empty() && !flags[0].empty())
      parse_number(std::string_view(flags[0][0]), fd.flags, 8);
    fds.push_back(std::move(fd));
  }
  return fds;
}

} // namespace pidleak::os
