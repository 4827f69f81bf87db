#include "harness/replay/offers.hpp"

#include "harness/replay/verdict.hpp"

#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::replay {

using protocol::Message;
using reports::Verdict;

namespace {

/// `by_default`: what a subject offers that does not say.
void require(const Message &hello, const std::string &member, const std::string &wanted,
             const std::vector<std::string> &by_default) {
  auto offered = hello.has(member) ? hello.texts(member) : by_default;
  if (std::find(offered.begin(), offered.end(), wanted) != offered.end())
    return;
  auto reason = fmt::format("the pool does not offer {} ({}: {})", wanted, member,
                            offered.empty() ? "none" : Message::printable(fmt::format("{}", fmt::join(offered, ", "))));
  if (member == "start_methods" && !offered.empty())
    reason += "; try --start-method " + Message::printable(offered.front());
  throw Judged{Verdict::skipped, reason};
}

void require_start_method(const Message &hello, const Conditions &conditions) {
  const std::string member = "death_points_with";
  if (hello.has(member) && hello.text(member) != spell(conditions.start_method))
    throw Judged{Verdict::skipped, fmt::format("the pool offers {} only with start method {}",
                                               spell(conditions.death_point), Message::printable(hello.text(member)))};
}

} // namespace

Offers read_offers(const Message &hello, const Conditions &conditions, bool real_oom) {
  require(hello, "start_methods", spell(conditions.start_method), {});
  require(hello, "dispositions", spell(conditions.sigterm), spellings<os::SignalAction>());
  if (conditions.sigterm == Sigterm::handler || conditions.sigterm == Sigterm::exits)
    require(hello, "handlers_registered", spell(conditions.handler_registered), {});
  require(hello, "signal_resets", spell(conditions.signal_reset), {"none"});
  require(hello, "terminates", spell(conditions.terminate), {"as-is"});
  require(hello, "queue_slots", spell(conditions.queue_slots), {"as-is"});
  if (conditions.death != Death::none) {
    require(hello, "death_points", spell(conditions.death_point), {"in-task"});
    if (conditions.death_point != DeathPoint::in_task)
      require_start_method(hello, conditions);
  }
  auto offers = [&](const char *member) { return hello.has(member) && hello.flag(member); };
  Offers found{.runtime_handles_sigterm = offers("runtime_handles_sigterm"),
               .reports_breakage = offers("reports_breakage"),
               .reports_queue_depth = offers("reports_queue_depth"),
               .holds_before_count = offers("holds_before_count")};
  if (hello.has("longest_timer"))
    found.longest_timer =
        std::chrono::seconds(std::clamp<long long>(hello.integer("longest_timer"), 0, protocol::longest_timer_s));
  if (conditions.victim == Victim::owner && real_oom && !offers("allocates"))
    throw Judged{Verdict::skipped, "the pool's owner can't be told to allocate; --oom=sigkill uses a plain SIGKILL"};
  if (conditions.queue == CallQueueState::full && !found.reports_queue_depth)
    throw Judged{Verdict::skipped, "the pool does not say how full its call queue is"};
  return found;
}

} // namespace pidleak::replay
