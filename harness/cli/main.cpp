// pidleak: the command line.
#include "harness/base/suggestion.hpp"
#include "harness/cli/replays.hpp"
#include "harness/os/signals.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace pidleak::cli {
bool wants_colour(int fd) { return ::isatty(fd) && !std::getenv("NO_COLOR"); }

} // namespace pidleak::cli

namespace {

using namespace pidleak::cli;

using AddVerb = void (*)(CLI::App &app, int &status);
constexpr std::pair<const char *, AddVerb> verbs[] = {{"list", add_list},
                                                      {"run", add_run},
                                                      {"compare", add_compare},
                                                      {"ablate", add_ablate},
                                                      {"guard", add_guard},
                                                      {"report", add_report},
                                                      {"check-adapter", add_check_adapter},
                                                      {"doctor", add_doctor}};

/// Adds the verb that was called, or all of them where more than one is to be described: to describe them takes longer
/// than `pidleak guard` may cost.
void add_verbs(CLI::App &app, int &status, const std::string &called) {
  const auto *verb =
      std::find_if(std::begin(verbs), std::end(verbs), [&](const auto &known) { return called == known.first; });
  if (verb != std::end(verbs))
    return verb->second(app, status);
  std::vector<std::string> names;
  for (const auto &[name, add] : verbs) {
    add(app, status);
    names.emplace_back(name);
  }
  add_completions(app, status);
  // CLI11 would say only that a subcommand is required.
  if (!called.empty() && !called.starts_with('-') && called != "completions")
    throw UsageError(fmt::format("there is no command \"{}\"{}", called, pidleak::suggestion(called, names)));
}

} // namespace

int main(int argc, char **argv) {
  int status = 0;
  CLI::App app{"Replays the ways a process pool loses track of its children, with real faults, and proves whether any\n"
               "child PID remains."};
  app.name("pidleak");
  app.set_version_flag("--version", "pidleak " PIDLEAK_VERSION);
  app.require_subcommand(1);
  app.get_formatter()->column_width(34);
  app.footer("Exit status: 0 as it should be, 1 a leak or a hang, 2 usage, 3 invalid (a fault did not happen),\n"
             "4 skipped, 5 the harness broke.\n\n"
             "Examples:\n"
             "  pidleak list                                    what there is to replay\n"
             "  pidleak run incident                            the incident, on every preset\n"
             "  pidleak run incident --pool hardened            a regression test: status 0 means no child remains\n"
             "  pidleak report leaks.json --junit leaks.xml     a leak report for other readers\n"
             "  pidleak doctor                                  what this machine can show");
  try {
    std::vector<std::string> arguments(argv + std::min(argc, 1), argv + argc);
    if (argc > 1 && std::string_view(argv[1]) == "guard")
      arguments = keep_whole(std::move(arguments));
    else                             // `pidleak guard`'s command inherits what is ignored
      pidleak::os::ignore_sigpipe(); // `pidleak run ... | head` must still end its sandboxes in good order
    add_verbs(app, status, argc > 1 ? argv[1] : "");
    std::reverse(arguments.begin(), arguments.end()); // as CLI11 wants them
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError &e) {
    return app.exit(e) == 0 ? 0 : 2;
  } catch (const TierRefused &e) {
    std::fprintf(stderr, "pidleak: skipped: %s\n", e.what());
    return 4;
  } catch (const UsageError &e) {
    std::fprintf(stderr, "pidleak: %s\n", e.what());
    return 2;
  } catch (const std::exception &e) {
    std::fprintf(stderr, "pidleak: %s\n", e.what());
    return 5;
  }
  return status;
}
