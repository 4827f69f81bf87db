#include "harness/census/elsewhere.hpp"

#include "harness/census/boundary.hpp"
#include "harness/census/holdings.hpp"
#include "harness/census/mappings.hpp"
#include "harness/os/procfs.hpp"

#include <dirent.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <memory>

namespace pidleak::census {
namespace {

using Directory = std::unique_ptr<DIR, int (*)(DIR *)>;

/// The entries that are numbers: pids of /proc, descriptors of /proc/PID/fd. None where it may not be read.
std::vector<int> numbers_in(const std::string &path) {
  std::vector<int> numbers;
  Directory directory(::opendir(path.c_str()), ::closedir);
  while (const dirent *entry = directory ? ::readdir(directory.get()) : nullptr) {
    std::string_view name = entry->d_name;
    int number = 0;
    if (auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
        error == std::errc() && end == name.data() + name.size())
      numbers.push_back(number);
  }
  return numbers;
}

std::string link_of(pid_t pid, int fd) {
  std::array<char, 256> target{};
  auto size = ::readlink(fmt::format("/proc/{}/fd/{}", pid, fd).c_str(), target.data(), target.size());
  return size <= 0 ? "" : std::string(target.data(), static_cast<std::size_t>(size));
}

bool has(const std::set<Awaited> &awaited, const std::string &identity) {
  auto found = awaited.lower_bound({.identity = identity, .needs = Awaited::End::any});
  return found != awaited.end() && found->identity == identity;
}

/// Whether the identity is more than what the link says. Then it takes all that the process has open to know it.
bool hides_identity(const std::string &link) {
  return link.starts_with("anon_inode:[eventfd") || link.starts_with("/memfd:") || link.starts_with("/dev/shm/") ||
         link.starts_with("/dev/zero");
}

/// What of it this process has. `links_tell`: only what links name is awaited.
std::string held_by(pid_t pid, const std::set<Awaited> &awaited, bool links_tell, bool memory_matters) {
  bool may_be_hidden = false;
  for (int fd : numbers_in(fmt::format("/proc/{}/fd", pid))) {
    auto link = link_of(pid, fd);
    if (has(awaited, link))
      return link;
    may_be_hidden = may_be_hidden || hides_identity(link);
  }
  if (may_be_hidden && !links_tell)
    for (const auto &fd : os::read_fds(pid, hides_identity).value_or(std::vector<os::ProcFd>{}))
      if (auto identity = identity_of(pid, fd); has(awaited, identity))
        return identity;
  if (memory_matters)
    for (const auto &mapping : read_mappings(pid))
      if (mapping.is_shared && mapping.inode != 0 && has(awaited, mapping.identity()))
        return mapping.identity();
  return "";
}

/// A pipe is at its end, or broken, once no process has its other end: a thread that still waits for that tells that
/// some process has it. Empty: those that are known have the ends of all.
std::string pipe_without_other_end(const std::vector<Member> &members, const Holdings &holdings, const Scope &scope,
                                   const std::set<Awaited> &awaited) {
  auto missing = awaited;
  std::erase_if(missing, [](const Awaited &each) { return each.needs == Awaited::End::any; });
  if (missing.empty())
    return "";
  auto strike_out = [&](const std::vector<os::ProcFd> &fds) {
    for (const auto &fd : fds) {
      if (fd.readable())
        missing.erase({.identity = fd.target, .needs = Awaited::End::pipe_reader});
      if (fd.writable())
        missing.erase({.identity = fd.target, .needs = Awaited::End::pipe_writer});
    }
  };
  for (const auto &member : members)
    if (const auto *fds = holdings.of(member.pid))
      strike_out(*fds);
  for (pid_t pid : std::set{scope.root, ::getpid()})
    if (!missing.empty())
      strike_out(os::read_fds(pid, [&](const std::string &target) {
                   return has(missing, target);
                 }).value_or(std::vector<os::ProcFd>{}));
  return missing.empty() ? "" : missing.begin()->identity;
}

} // namespace

Elsewhere look_elsewhere(const std::vector<Member> &members, const Holdings &holdings, const Scope &scope,
                         const std::set<Awaited> &awaited) {
  std::set<pid_t> known = {scope.root, ::getpid()};
  for (const auto &member : members)
    known.insert(member.pid);
  if (auto pipe = pipe_without_other_end(members, holdings, scope, awaited); !pipe.empty())
    return {.why = fmt::format("waits for {}, whose other end is open outside alone", pipe), .identity = pipe};
  for (const auto &member : members)
    for (const auto &mapping : read_mappings(member.pid))
      if (mapping.path == "anon_inode:[io_uring]")
        return {.why = fmt::format("pid {} has an io_uring", member.pid), .identity = ""};
  auto awaits = [&](const char *start) {
    return std::any_of(awaited.begin(), awaited.end(),
                       [&](const auto &each) { return each.identity.starts_with(start); });
  };
  bool memory_matters = awaits("file:"), links_tell = !memory_matters && !awaits("eventfd");
  for (pid_t pid : numbers_in("/proc")) {
    if (known.contains(pid))
      continue;
    if (auto identity = held_by(pid, awaited, links_tell, memory_matters); !identity.empty())
      return {.why = fmt::format("waits for {}, which pid {} outside has as well", identity, pid),
              .identity = identity};
    auto status = os::read_status(pid);
    if (status && status->tracer != 0 && known.contains(status->tracer))
      return {.why = fmt::format("pid {} traces pid {}, which is outside", status->tracer, pid), .identity = ""};
  }
  return {};
}

} // namespace pidleak::census
