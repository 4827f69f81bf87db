#include "harness/census/leaving.hpp"

#include "harness/os/syscall_error.hpp"

namespace pidleak::census {
namespace {

constexpr std::size_t most_held = 256;

} // namespace

Leaving::Leaving(const std::vector<Member> &members) {
  try {
    for (const auto &member : members) {
      if (held_.size() == most_held)
        return;
      if (auto process = os::ProcessRef::open(member.pid); process && !process->has_exited()) {
        exits_.push_back(process->pidfd());
        held_.push_back(std::move(*process));
      }
    }
  } catch (const os::SyscallError &) { // no descriptor left: those that could be held will do
  }
}

} // namespace pidleak::census
