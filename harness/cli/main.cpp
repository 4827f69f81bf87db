// pidleak: the command line.
#include "harness/cli/replays.hpp"
#include "harness/os/signals.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <numeric>

namespace pidleak::cli {
namespace {

/// Levenshtein's distance.
std::size_t distance(const std::string &a, const std::string &b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j)
      diagonal = std::exchange(row[j + 1], std::min({row[j + 1] + 1, row[j] + 1, diagonal + (a[i] != b[j])}));
  }
  return row.back();
}

} // namespace

std::string suggestion(const std::string &word, const std::vector<std::string> &known) {
  auto nearest = std::min_element(known.begin(), known.end(),
                                  [&](const auto &a, const auto &b) { return distance(word, a) < distance(word, b); });
  if (nearest != known.end() && distance(word, *nearest) <= std::max<std::size_t>(2, nearest->size() / 3))
    return fmt::format("; did you mean \"{}\"?", *nearest);
  return fmt::format("; there are: {}", fmt::join(known, ", "));
}

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
             "  pidleak doctor                                  what this machine can show");
  add_list(app, status);
  add_run(app, status);
  add_compare(app, status);
  add_ablate(app, status);
  add_doctor(app, status);
  try {
    pidleak::os::ignore_sigpipe(); // `pidleak run ... | head` must still end its sandboxes in good order
    // CLI11 would say only that a subcommand is required.
    std::vector<std::string> verbs;
    for (const auto *command : app.get_subcommands([](const CLI::App *) { return true; }))
      verbs.push_back(command->get_name());
    if (argc > 1 && argv[1][0] != '-' && std::find(verbs.begin(), verbs.end(), argv[1]) == verbs.end())
      throw UsageError(fmt::format("there is no command \"{}\"{}", argv[1], suggestion(argv[1], verbs)));
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
