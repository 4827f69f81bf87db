#include "harness/guard/fork_chain.hpp"

#include "harness/os/procfs.hpp"

#include <algorithm>

namespace pidleak::guard {
namespace {

constexpr std::size_t many = 1000; // generations: a chain takes some 20 to 500 us for each

bool is_there(const census::Member &member) {
  auto stat = os::read_stat(member.pid);
  return stat && stat->start_ticks == member.start_ticks && stat->state != 'Z';
}

} // namespace

void ForkChain::note_reaped(std::size_t count) {
  come_and_gone_ += count;
  if (!first_.empty() && std::none_of(first_.begin(), first_.end(), is_there)) {
    first_.clear();
    come_and_gone_ = 0;
  }
}

bool ForkChain::shown() const { return first_.empty() && come_and_gone_ >= many; }

} // namespace pidleak::guard
