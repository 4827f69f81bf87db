#include "harness/census/spinning.hpp"

#include <unistd.h>

#include <algorithm>

namespace pidleak::census {
namespace {

bool is_running(const ThreadLook &look) { return look.state == 'R'; }

/// A call that may wait is `sleeping` for a moment even where it does not: wait4(2) with WNOHANG. A thread that really
/// slept has given up its CPU since.
void take_for_running(Looks &now, const Looks &then) {
  for (std::size_t i = 0; i < std::min(now.size(), then.size()); ++i)
    if (!is_running(now[i]) && is_running(then[i]) && then[i].thread == now[i].thread && then[i].waits == now[i].waits)
      if (auto stat = os::read_thread_stat(now[i].pid, now[i].thread)) {
        now[i].state = 'R';
        now[i].cpu_ticks = stat->cpu_ticks;
      }
}

bool is_same(const ThreadLook &then, const ThreadLook &now) {
  if (!is_running(now))
    return then == now;
  return is_running(then) && then.pid == now.pid && then.thread == now.thread && then.waits == now.waits;
}

} // namespace

bool Spinning::look(const std::vector<Member> &members) {
  if (!is_due())
    return false;
  next_ = Deadline::after(pause);
  auto now = look_at(members);
  take_for_running(now, first_);
  bool is_loop = std::any_of(now.begin(), now.end(), is_running) &&
                 std::all_of(now.begin(), now.end(),
                             [](const auto &look) { return is_running(look) || why_moving(look).empty(); });
  if (!is_loop || !std::equal(first_.begin(), first_.end(), now.begin(), now.end(), is_same)) {
    first_ = is_loop ? now : Looks{};
    return false;
  }
  auto enough = static_cast<std::uint64_t>(::sysconf(_SC_CLK_TCK)) / 10;
  for (std::size_t i = 0; i < now.size(); ++i)
    if (is_running(now[i]) && now[i].cpu_ticks - first_[i].cpu_ticks < enough)
      return false;
  return true;
}

} // namespace pidleak::census
