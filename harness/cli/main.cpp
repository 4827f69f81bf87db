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

int main(int argc, char **argv) {
  using namespace pidleak::cli;
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
  add_list(app, status);
  add_run(app, status);
  add_compare(app, status);
  add_ablate(app, status);
  add_report(app, status);
  add_check_adapter(app, status);
  add_guard(app, status);
  add_doctor(app, status);
  try {
    // `pidleak guard`'s command inherits what is ignored.
    if (argc < 2 || std::string_view(argv[1]) != "guard")
      pidleak::os::ignore_sigpipe(); // `pidleak run ... | head` must still end its sandboxes in good order
    // CLI11 would say only that a subcommand is required.
    std::vector<std::string> verbs;
    for (const auto *command : app.get_subcommands([](const CLI::App *) { return true; }))
      verbs.push_back(command->get_name());
    if (argc > 1 && argv[1][0] != '-' && std::find(verbs.begin(), verbs.end(), argv[1]) == verbs.end())
      throw UsageError(fmt::format("there is no command \"{}\"{}", argv[1], pidleak::suggestion(argv[1], verbs)));
    app.parse(argc, argv);
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
