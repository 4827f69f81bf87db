#include "harness/cli/suppressions.hpp"

#include "harness/cli/report_file.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace pidleak::cli {

std::vector<Option> suppression_options(Suppressions &suppressions) {
  return {{.name = "--suppressions",
           .into =
               [&suppressions](const std::string &path) {
                 if (path.empty())
                   throw UsageError("--suppressions: the name of the file is empty");
                 suppressions.path = path;
               },
           .summary = "Rules in JSON for processes that may remain: {\"suppressions\": [{\"comm\": \"agent*\", "
                      "\"reason\": \"...\"}]}; also command_line, kind, cause, expires",
           .value = "FILE"},
          {.name = "--strict-suppressions",
           .into = &suppressions.strict,
           .summary = "Status 1 if a rule has expired or was not used"}};
}

void read_suppressions(Suppressions &suppressions) {
  if (suppressions.path.empty()) {
    if (suppressions.strict)
      throw UsageError("--strict-suppressions: there are none without --suppressions FILE");
    return;
  }
  try {
    suppressions.rules = reports::parse_suppressions(read_bounded(suppressions.path, 1 << 20), suppressions.path);
  } catch (const std::invalid_argument &e) {
    throw UsageError(e.what());
  }
}

void apply_suppressions(Suppressions &suppressions, reports::Report &report) {
  if (suppressions.path.empty())
    return;
  auto today = std::chrono::floor<std::chrono::days>(std::chrono::system_clock::now());
  reports::apply(suppressions.rules, report, today);
  reports::add_uses(suppressions.uses, report);
}

int check_suppressions(const Suppressions &suppressions, int status) {
  auto stale = reports::stale_rules(suppressions.uses);
  for (const auto &line : stale)
    fmt::print(stderr, "pidleak: {}: {}\n", suppressions.path, line);
  return suppressions.strict && !stale.empty() && status == 0 ? 1 : status;
}

} // namespace pidleak::cli
