#include "harness/replay/named_objects.hpp"

#include "harness/os/procfs.hpp"
#include "harness/tracing/calls.hpp"

#include <fmt/format.h>
#include <sys/uio.h>

namespace pidleak::replay {

void NamedObjects::learn(pid_t owner, const std::vector<protocol::Message> &objects) {
  std::lock_guard lock(mutex_);
  owner_ = owner;
  auto fds = os::read_fds(owner);
  for (const auto &object : objects) {
    auto name = protocol::Message::printable(object.text("name"));
    if (object.has("fd")) {
      for (const auto &fd : fds.value_or(std::vector<os::ProcFd>()))
        if (fd.number == object.integer("fd"))
          names_[fd.target] = name;
    } else {
      auto address = static_cast<std::uint64_t>(object.integer("semaphore"));
      if (auto place = tracing::shared_place(owner, address); !place.empty())
        names_[place] = name;
      locks_.push_back({.name = name, .guards = object.text("guards"), .address = address});
    }
  }
}

std::string NamedObjects::about(const std::string &target) const {
  std::lock_guard lock(mutex_);
  if (auto found = names_.find(target); found != names_.end())
    return found->second;
  if (target.empty() || target.starts_with('/'))
    return target;
  if (auto kind = target.find(":["); kind != std::string::npos) // pipe:[123]
    return "a " + target.substr(0, kind);
  return target.find(" +0x") != std::string::npos ? "shared memory" : target;
}

std::string NamedObjects::lock_in_hand(const tracing::Stop &stop) const {
  std::lock_guard lock(mutex_);
  auto object = names_.find(stop.target);
  if (object == names_.end())
    return "";
  for (const auto &candidate : locks_)
    if (candidate.guards == object->second && is_taken(candidate))
      return candidate.name;
  return "";
}

/// glibc's sem_t of 64 bits: the value is its first half. At 0 one process has it; and of the processes that are at
/// what it guards there is one.
bool NamedObjects::is_taken(const Lock &lock) const {
  std::uint32_t value = 1;
  iovec local{.iov_base = &value, .iov_len = sizeof value};
  iovec remote{.iov_base = reinterpret_cast<void *>(lock.address), .iov_len = sizeof value}; // NOLINT
  return ::process_vm_readv(owner_, &local, 1, &remote, 1, 0) == sizeof value && value == 0;
}

} // namespace pidleak::replay
