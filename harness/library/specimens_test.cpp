// A guard against the processes that the census and `pidleak guard` are tried on.
#include "harness/library/library_test_support.hpp"
#include "harness/os/launch.hpp"
#include "reports/temporary_directory.hpp"
#include "workers/specimens/specimen.hpp"

#include <algorithm>
#include <cstdlib>

using namespace pidleak;
using namespace pidleak::testing;

TEST_CASE("every specimen that leaks, at once: none is missed", "[library]") {
  std::vector<std::string> names;
  std::size_t wanted = 0;
  for (const auto &specimen : specimens::all())
    if (specimen.verdict == "leaked") {
      names.push_back(specimen.name);
      wanted += 1 + static_cast<std::size_t>(std::count(specimen.causes.begin(), specimen.causes.end(), ','));
    }
  check_in_plain_child([&] {
    TemporaryDirectory directory;
    ::setenv("TMPDIR", directory.path().c_str(), 1);
    Guard guard({.grace = 1s});
    os::reap(os::launch({.program = PIDLEAK_BINARY_DIR "/pidleak-specimen", .arguments = names}));
    auto findings = guard.check();
    expect_equal(findings.remaining.size(), wanted,
                 "number of what remains; tolerated: " + std::to_string(findings.tolerated.size()));
    expect(findings.complete, "the census is complete");
    expect(guard.end_remaining(), "they could be ended");
    for (pid_t pid : os::read_children(::getpid())) // orphans that had ended before: they may be init's
      expect_equal(os::read_stat(pid).value().state, 'Z', "state of what is left");
  });
}

TEST_CASE("every specimen that is clean: none is blamed", "[library]") {
  for (const auto &specimen : specimens::all())
    if (specimen.verdict == "clean")
      check_in_plain_child([&] {
        TemporaryDirectory directory;
        ::setenv("TMPDIR", directory.path().c_str(), 1);
        Guard guard({.grace = 15s});
        os::reap(os::launch({.program = PIDLEAK_BINARY_DIR "/pidleak-specimen", .arguments = {specimen.name}}));
        auto findings = guard.check();
        expect(findings.clean(), specimen.name + ": " + findings.text);
      });
}
