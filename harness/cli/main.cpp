// pidleak: the command line.
#include "harness/base/suggestion.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/verbs.hpp"
#include "harness/os/signals.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#ifndef PIDLEAK_COMMIT
#define PIDLEAK_COMMIT "" // the release's build names it
#endif

namespace pidleak::cli {
bool wants_colour(int fd) { return ::isatty(fd) && !std::getenv("NO_COLOR"); }

} // namespace pidleak::cli

namespace {

using namespace pidleak::cli;

constexpr std::pair<const char *, Command (*)()> verbs[] = {
    {"list", list_verb},     {"run", run_verb},
    {"sweep", sweep_verb},   {"compare", compare_verb},
    {"ablate", ablate_verb}, {"soak", soak_verb},
    {"guard", guard_verb},   {"why", why_verb},
    {"report", report_verb}, {"check-adapter", check_adapter_verb},
    {"doctor", doctor_verb}};

Command application() {
  return {.name = "pidleak",
          .summary =
              "Replays the ways a process pool loses track of its children, with real faults, and proves whether any\n"
              "child PID remains.",
          .footer =
              "Exit status: 0 clean, 1 a leak or a hang, 2 usage, 3 invalid (a fault did not happen),\n"
              "4 skipped, 5 the harness broke.\n\n"
              "Examples:\n"
              "  pidleak list                                    what there is to replay\n"
              "  pidleak run incident                            the incident, on every preset\n"
              "  pidleak run incident --pool hardened            a regression test: status 0 means no child remains\n"
              "  pidleak report leaks.json --junit leaks.xml     a leak report for other readers\n"
              "  pidleak why 4711                                what a process that hangs waits for, and for whom\n"
              "  pidleak doctor                                  what this machine can show"};
}

Command with_all_verbs() {
  auto all = application();
  for (const auto &[name, verb] : verbs)
    all.below.push_back(verb());
  all.below.push_back(completions_verb(with_all_verbs));
  return all;
}

/// With the verb that is called, or with all of them where more than one is to be described: to describe them takes
/// longer than `pidleak guard` may cost.
Command application_for(const std::string &called) {
  std::vector<std::string> names;
  for (const auto &[name, verb] : verbs) {
    if (called == name) {
      auto one = application();
      one.below.push_back(verb());
      return one;
    }
    names.emplace_back(name);
  }
  // CLI11 would say only that a subcommand is required.
  if (called.empty())
    throw UsageError(fmt::format("no command given; there are: {}; pidleak --help says more", fmt::join(names, ", ")));
  if (!called.starts_with('-') && called != "completions")
    throw UsageError(fmt::format("there is no command \"{}\"{}", called, pidleak::suggestion(called, names)));
  return with_all_verbs();
}

} // namespace

int main(int argc, char **argv) {
  std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
  auto called = arguments.empty() ? "" : arguments.front();
  if (called != "guard")           // whose command inherits what is ignored
    pidleak::os::ignore_sigpipe(); // `pidleak run ... | head` must still end its sandboxes in good order
  try {
    return run(application_for(called), "pidleak " PIDLEAK_VERSION PIDLEAK_COMMIT, std::move(arguments));
  } catch (const TierRefused &e) {
    std::fprintf(stderr, "pidleak: skipped: %s\n", e.what());
    return 4;
  } catch (const Interrupted &e) {
    std::fprintf(stderr, "pidleak: %s\n", e.what());
    return e.status();
  } catch (const UsageError &e) {
    std::fprintf(stderr, "pidleak: %s\n", e.what());
    return 2;
  } catch (const std::exception &e) {
    std::fprintf(stderr, "pidleak: %s\n", e.what());
    return 5;
  }
}
