// The tree that is kept from events has what a walk has, whatever its processes do.
#include "harness/guard/command.hpp"
#include "harness/guard/guard_test_support.hpp"
#include "harness/guard/watched_tree.hpp"
#include "harness/os/subreaper.hpp"

#include <set>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

using Shown = std::set<std::tuple<pid_t, std::uint64_t, bool, std::string>>;

Shown shown(const std::vector<census::Member> &members) {
  Shown all;
  for (const auto &member : members)
    all.emplace(member.pid, member.start_ticks, member.state == census::ProcessState::zombie, member.comm);
  return all;
}

} // namespace

TEST_CASE("a tree that is watched by events is what a walk sees", "[guard]") {
  if (!is_told_of_tasks())
    SKIP("the kernel tells this user of no forks");
  check_in_child([] {
    Scratch scratch;
    os::become_subreaper();
    pidleak::guard::Command command;
    pidleak::guard::WatchedTree tree({.root = ::getpid()});
    auto agree = [&](const std::string &when, const std::function<bool(const Shown &)> &holds) {
      wait_until(
          [&] {
            auto walked = shown(census::walk_once({.root = ::getpid()}));
            return holds(walked) && shown(tree.look(command.genealogy())) == walked;
          },
          when);
    };
    auto count = [](const Shown &all, const std::string &name, bool zombies) {
      return std::count_if(all.begin(), all.end(),
                           [&](const auto &one) { return std::get<2>(one) == zombies && std::get<3>(one) == name; });
    };
    // Zombies stay, since the shell becomes another program; a daemon of a daemon is this process's child at once.
    expect_equal(command.start({"/bin/sh", "-c",
                                "cd $0; mkfifo go; sleep 600 & (sleep 600 & sleep 600 &) & wait $!; read line <go; "
                                "/bin/true & exec sleep 600",
                                scratch / "."}),
                 0, "it starts");
    agree("three sleep", [&](const Shown &all) { return count(all, "sleep", false) == 3; });
    std::ofstream(scratch / "go") << "\n";
    agree("the shell sleeps, and has a zombie",
          [&](const Shown &all) { return count(all, "sleep", false) == 4 && count(all, "true", true) == 1; });
    for (const auto &member : census::walk_once({.root = ::getpid()}))
      if (member.pid != command.process().pid() && member.state != census::ProcessState::zombie)
        os::ProcessRef::open(member.pid).value().send(SIGKILL);
    agree("one more of its children is a zombie, and two of this process's",
          [&](const Shown &all) { return count(all, "sleep", false) == 1 && count(all, "sleep", true) == 3; });
    command.process().send(SIGKILL);
    wait_until([] { return os::reap_exited_children(); }, "all have ended");
    agree("none is left", [](const Shown &all) { return all.empty(); });
  });
}
