// pidleak report: reads leak reports, and shows, converts, compares and merges them.
#include "harness/cli/outputs.hpp"
#include "harness/cli/replays.hpp"
#include "harness/cli/report_file.hpp"
#include "harness/cli/verbs.hpp"
#include "reports/diff.hpp"
#include "reports/terminal.hpp"

#include <fmt/format.h>

#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;

struct ShowOptions {
  std::vector<std::string> files;
  Outputs outputs;
  bool status = false, verbose = false;
};

struct DiffOptions {
  std::string before, after;
  bool json = false;
};

int show(const ShowOptions &options) {
  if (options.files.empty())
    throw UsageError("report: FILE is missing: a leak report, as `pidleak run --report FILE` writes it, or - for "
                     "standard input");
  check_outputs(options.outputs);
  check_standard_input(options.files);
  Results results;
  bool keep_each = options.outputs.want_each();
  for (const auto &file : options.files)
    read_reports(file, [&](Report report) {
      results.tallies.add(report);
      if (keep_each)
        results.each.push_back(std::move(report));
    });
  if (options.outputs.wanted()) {
    write_outputs(options.outputs, results);
  } else {
    reports::TerminalOptions terminal{.colour = wants_colour(1), .verbose = options.verbose, .done = done_in};
    fmt::print("{}\n{}\n{}\n", reports::render_details(results.tallies, terminal),
               reports::render_table(results.tallies, terminal), reports::render_counts(results.tallies, {}));
  }
  if (!options.status)
    return 0;
  std::vector<reports::Verdict> verdicts;
  for (auto [verdict, count] : verdicts_of(results.tallies))
    verdicts.push_back(verdict);
  return reports::exit_status(verdicts);
}

int show_diff(const DiffOptions &options) {
  check_standard_input({options.before, options.after});
  auto cells = reports::diff(read_report_file(options.before), read_report_file(options.after));
  std::fputs((options.json ? reports::diff_as_json(cells) : reports::render_diff(cells)).c_str(), stdout);
  return reports::got_worse(cells) ? 1 : 0;
}

Command diff_verb() {
  auto options = std::make_shared<DiffOptions>();
  return {.name = "diff",
          .summary = "Show what is new, what went away and what changed",
          .options =
              {{.name = "BEFORE", .into = &options->before, .summary = "The older leak report, or -", .required = true},
               {.name = "AFTER", .into = &options->after, .summary = "The newer one, or -", .required = true},
               {.name = "--json", .into = &options->json, .summary = "Write JSON to standard output, and no table"}},
          .footer =
              "Status 1: something got worse: a worse verdict, more remaining processes, or a leak that is new.\n\n"
              "Examples:\n"
              "  pidleak report diff main.json branch.json",
          .run = [options](const Given &) { return show_diff(*options); }};
}

} // namespace

Command report_verb() {
  auto options = std::make_shared<ShowOptions>();
  Command command{
      .name = "report",
      .summary = "Show, convert, compare and merge leak reports",
      .options = {{.name = "FILE",
                   .into = &options->files,
                   .summary = "Leak reports of `pidleak run --report`, or - for standard input",
                   .value = ""}},
      .footer = "Without a rendering it prints what `pidleak run` prints. Status 0: it could be read and rendered,\n"
                "whatever the verdicts are; 2: it could not.\n\n"
                "Examples:\n"
                "  pidleak report leaks.json\n"
                "  pidleak report leaks.json --junit leaks.xml --trace leaks.trace.json\n"
                "  pidleak report leaks.json --github --markdown \"$GITHUB_STEP_SUMMARY\" --status\n"
                "  pidleak report diff main.json branch.json\n"
                "  pidleak report merge shard-*.json -o leaks.json",
      .below = {diff_verb(), merge_verb()},
      .run = [options](const Given &) { return show(*options); }};
  append(command.options, output_options(options->outputs));
  command.options.push_back({.name = "--status",
                             .into = &options->status,
                             .summary = "Exit with the status of the verdicts, as `pidleak run` does"});
  command.options.push_back({.name = "-v,--verbose",
                             .into = &options->verbose,
                             .summary = "Show every row in full, not only the first of each kind of ending"});
  return command;
}

} // namespace pidleak::cli
