#include "harness/tracing/fault.hpp"

#include "harness/base/spelling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

namespace pidleak::tracing {
namespace {

constexpr std::pair<const char *, int> error_names[] = {{"EAGAIN", EAGAIN}, {"ENOMEM", ENOMEM}, {"EMFILE", EMFILE},
                                                        {"ENFILE", ENFILE}, {"ENOSPC", ENOSPC}, {"EPERM", EPERM},
                                                        {"EINTR", EINTR},   {"ENOSYS", ENOSYS}};

struct Row {
  const char *call;
  std::vector<int> errors;
};

/// What a full pids cgroup, too little memory, too many descriptors or a full file system make of a call.
const std::vector<Row> &table() {
  static const std::vector<Row> rows = {
      {"fork", {EAGAIN, ENOMEM}}, // fork(2)
      {"vfork", {EAGAIN, ENOMEM}},
      {"clone", {EAGAIN, ENOMEM}}, // clone(2): threads as well
      {"clone3", {EAGAIN, ENOMEM}},
      {"execve", {ENOMEM}}, // execve(2)
      {"mmap", {ENOMEM}},   // mmap(2)
      {"mremap", {ENOMEM}},
      {"mprotect", {ENOMEM}},
      {"pipe", {EMFILE}}, // pipe(2)
      {"pipe2", {EMFILE}},
      {"socket", {EMFILE}}, // socket(2)
      {"socketpair", {EMFILE}},
      {"accept4", {EMFILE}},
      {"open", {EMFILE}}, // open(2)
      {"openat", {EMFILE}},
      {"dup", {EMFILE}}, // dup(2)
      {"dup3", {EMFILE}},
      {"memfd_create", {EMFILE, ENOMEM}}, // memfd_create(2)
      {"pidfd_open", {EMFILE, ENOMEM}},   // pidfd_open(2)
      {"eventfd2", {EMFILE}},
      {"epoll_create1", {EMFILE}},
      {"timerfd_create", {EMFILE}},
      {"signalfd4", {EMFILE}},
      {"inotify_init1", {EMFILE}},
  };
  return rows;
}

bool is_on_memory(std::string_view target) { return target.starts_with("/memfd:") || target.starts_with("/dev/shm/"); }

} // namespace

std::string error_name(int error) {
  for (auto [name, value] : error_names)
    if (value == error)
      return name;
  return fmt::format("errno {}", error);
}

std::string to_text(const Fault &fault) {
  return fault.kind == FaultKind::errno_ ? "errno:" + error_name(fault.error) : spell(fault.kind);
}

std::optional<Fault> parse_fault(std::string_view text) {
  constexpr std::string_view prefix = "errno:";
  if (text.starts_with(prefix)) {
    text.remove_prefix(prefix.size());
    const auto *found =
        std::find_if(std::begin(error_names), std::end(error_names), [&](auto &row) { return row.first == text; });
    if (found == std::end(error_names))
      return {};
    return Fault{.kind = FaultKind::errno_, .error = found->second};
  }
  auto kind = parse_spelling<FaultKind>(text);
  if (!kind || *kind == FaultKind::errno_)
    return {};
  return Fault{.kind = *kind};
}

std::vector<int> errors_of(std::string_view call, std::string_view target) {
  if ((call == "write" || call == "ftruncate" || call == "fallocate") && is_on_memory(target))
    return {ENOSPC}; // write(2)
  for (const auto &row : table())
    if (row.call == call)
      return row.errors;
  return {};
}

} // namespace pidleak::tracing
