#include "harness/census/holders.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pidleak::census {
namespace {

const std::vector<std::string> none;

/// Those whose `list` has one that `fits`.
template <class List, class Fits>
std::vector<pid_t> processes_with(const Processes &all, const List &list, const Fits &fits) {
  std::vector<pid_t> found;
  for (const auto *process : all)
    if (const auto &entries = list(*process); std::any_of(entries.begin(), entries.end(), fits))
      found.push_back(process->pid);
  return found;
}

bool waits_for_lock(const RemainingProcess &process, const std::string &lock) {
  return std::any_of(process.waits.begin(), process.waits.end(), [&](const auto &wait) { return wait.object == lock; });
}

} // namespace

const RemainingProcess *Holders::find(pid_t pid) const {
  auto found = std::find_if(all_.begin(), all_.end(), [pid](const auto *process) { return process->pid == pid; });
  return found == all_.end() ? nullptr : *found;
}

std::vector<pid_t> Holders::of(const Endpoint &endpoint) const {
  if (!endpoint.peer.empty())
    return of_identity(endpoint.peer);
  if (!endpoint.remote.empty())
    return listeners_on(endpoint.remote);
  if (endpoint.object.starts_with("eventfd:"))
    return of_identity(endpoint.object);
  if (endpoint.object.starts_with("/dev/pts/"))
    return of_identity(std::string(master_of) + endpoint.object);
  if (constexpr std::string_view process = "pid "; endpoint.object.starts_with(process)) {
    pid_t pid = 0;
    std::from_chars(endpoint.object.data() + process.size(), endpoint.object.data() + endpoint.object.size(), pid);
    return find(pid) ? std::vector{pid} : std::vector<pid_t>();
  }
  return of_end(endpoint.object, endpoint.reads ? &OpenPipe::writes : &OpenPipe::reads);
}

bool Holders::is_fifo(const Endpoint &endpoint) const {
  return endpoint.object.starts_with('/') &&
         (!of_end(endpoint.object, &OpenPipe::writes).empty() || !of_end(endpoint.object, &OpenPipe::reads).empty());
}

std::vector<pid_t> Holders::of_end(const std::string &pipe, bool OpenPipe::*end) const {
  return processes_with(
      all_, [](const RemainingProcess &process) -> const auto & { return process.pipes; },
      [&](const OpenPipe &open) { return open.target == pipe && open.*end; });
}

std::vector<pid_t> Holders::of_identity(const std::string &identity) const {
  return processes_with(
      all_, [](const RemainingProcess &process) -> const auto & { return process.held; },
      [&](const std::string &held) { return held == identity; });
}

std::vector<pid_t> Holders::of_file_lock(const std::string &lock) const {
  return processes_with(
      all_, [](const RemainingProcess &process) -> const auto & {
        return process.attributes ? process.attributes->locks : none;
      },
      [&](const std::string &held) { return held == lock; });
}

std::vector<pid_t> Holders::listeners_on(const std::string &address) const {
  auto port = address.substr(address.rfind(':'));
  return processes_with(
      all_, [](const RemainingProcess &process) -> const auto & {
        return process.attributes ? process.attributes->listens : none;
      },
      [&](const std::string &listens) {
        return listens == "tcp " + address || listens == "tcp 0.0.0.0" + port || listens == "tcp [::]" + port;
      });
}

Processes Holders::of_lock(const std::string &lock) const {
  auto memory = lock.substr(0, lock.find('+'));
  memory.erase(0, std::min(memory.size(), std::string("lock ").size()));
  Processes holders;
  for (const auto *process : all_)
    if (process->kind != Kind::helper && !waits_for_lock(*process, lock) &&
        std::find(process->shared_memory.begin(), process->shared_memory.end(), memory) != process->shared_memory.end())
      holders.push_back(process);
  return holders;
}

std::vector<pid_t> Holders::living_children(const RemainingProcess &process) const {
  std::vector<pid_t> children;
  for (const auto *child : all_)
    if (child->parent == process.pid && child->state != ProcessState::zombie)
      children.push_back(child->pid);
  return children;
}

} // namespace pidleak::census
