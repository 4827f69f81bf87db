#include "harness/guard/fork_chain.hpp"

#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"

#include <unistd.h>

#include <algorithm>

namespace pidleak::guard {
namespace {

constexpr std::size_t many = 1000; // generations: a chain takes some 20 to 500 us for each

bool is_there(const census::Member &member) {
  auto stat = os::read_stat(member.pid);
  return stat && stat->start_ticks == member.start_ticks && stat->state != 'Z';
}

} // namespace

ForkChain::ForkChain() : first_(census::walk_once({.root = ::getpid()})) {}

void ForkChain::reap() {
  os::reap_exited_children(&come_and_gone_);
  if (!first_.empty() && std::none_of(first_.begin(), first_.end(), is_there)) {
    first_.clear();
    come_and_gone_ = 0;
  }
}

bool ForkChain::shown() const { return first_.empty() && come_and_gone_ >= many; }

} // namespace pidleak::guard
