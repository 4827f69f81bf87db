#include "harness/guard/fork_chain.hpp"

#include "harness/os/procfs.hpp"
#include "harness/os/subreaper.hpp"

#include <unistd.h>

#include <algorithm>

namespace pidleak::guard {
namespace {

constexpr std::size_t many = 100; // generations: a chain takes some 20 to 500 us for each

bool is_there(const census::Member &member) {
  auto stat = os::read_stat(member.pid);
  return stat && stat->start_ticks == member.start_ticks && stat->state != 'Z';
}

} // namespace

ForkChain::ForkChain() : first_(census::walk_once({.root = ::getpid()})) {}

void ForkChain::reap() { os::reap_exited_children(&come_and_gone_); }

bool ForkChain::shown() const {
  return come_and_gone_ >= first_.size() + many && std::none_of(first_.begin(), first_.end(), is_there);
}

} // namespace pidleak::guard
