// pidleak report: reads leak reports, and shows, converts, compares and merges them.
#include "harness/cli/outputs.hpp"
#include "harness/cli/report_file.hpp"
#include "reports/diff.hpp"
#include "reports/terminal.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>

namespace pidleak::cli {
namespace {

using reports::Report;

struct Options {
  std::vector<std::string> files;
  Outputs outputs;
  bool status = false;
};

struct DiffOptions {
  std::string before, after;
  bool json = false;
};

struct MergeOptions {
  std::vector<std::string> files;
  std::string output;
};

std::vector<Report> read_all(const std::vector<std::string> &files) {
  if (std::count(files.begin(), files.end(), "-") > 1)
    throw UsageError("standard input (-) can be read once only");
  std::vector<Report> all;
  for (const auto &file : files) {
    auto some = read_report_file(file);
    all.insert(all.end(), std::make_move_iterator(some.begin()), std::make_move_iterator(some.end()));
  }
  return all;
}

int show(const Options &options) {
  if (options.files.empty())
    throw UsageError("report: FILE is missing: a leak report, as `pidleak run --report FILE` writes it, or - for "
                     "standard input");
  check_outputs(options.outputs);
  auto all = read_all(options.files);
  if (options.outputs.wanted()) {
    write_outputs(options.outputs, all);
  } else {
    reports::TerminalOptions terminal{.colour = wants_colour(1)};
    fmt::print("{}\n{}", reports::render_details(all, terminal), reports::render_table(all, terminal));
  }
  if (!options.status)
    return 0;
  std::vector<reports::Verdict> verdicts;
  for (const auto &report : all)
    verdicts.push_back(report.verdict);
  return reports::exit_status(verdicts);
}

int show_diff(const DiffOptions &options) {
  if (options.before == "-" && options.after == "-")
    throw UsageError("standard input (-) can be read once only");
  auto cells = reports::diff(read_report_file(options.before), read_report_file(options.after));
  std::fputs((options.json ? reports::diff_to_json(cells).dump(2) + "\n" : reports::render_diff(cells)).c_str(),
             stdout);
  return reports::got_worse(cells) ? 1 : 0;
}

int merge(const MergeOptions &options) {
  auto path = options.output == "-" ? "/dev/stdout" : options.output;
  check_output("--output", path);
  reports::write_atomically(path, reports::to_document(read_all(options.files)));
  return 0;
}

void add_diff(CLI::App *report, int &status) {
  auto options = std::make_shared<DiffOptions>();
  auto *command = report->add_subcommand("diff", "Show what is new, what went away and what changed");
  command->add_option("BEFORE", options->before, "The older leak report, or -")->required();
  command->add_option("AFTER", options->after, "The newer one, or -")->required();
  command->add_flag("--json", options->json, "Write JSON to standard output, and no table");
  command->footer("Status 1: something got worse: a worse verdict, more remaining processes, or a leak that is new.\n\n"
                  "Examples:\n"
                  "  pidleak report diff main.json branch.json");
  command->callback([options, &status] { status = show_diff(*options); });
}

void add_merge(CLI::App *report, int &status) {
  auto options = std::make_shared<MergeOptions>();
  auto *command = report->add_subcommand("merge", "Make one leak report of several");
  command->add_option("FILE", options->files, "Leak reports, or - for standard input")->required()->type_name("");
  command->add_option("-o,--output", options->output, "Write to this file, or - for standard output")
      ->required()
      ->type_name("FILE");
  command->footer("Examples:\n"
                  "  pidleak report merge shard-*.json -o leaks.json");
  command->callback([options, &status] { status = merge(*options); });
}

} // namespace

void add_report(CLI::App &app, int &status) {
  auto options = std::make_shared<Options>();
  auto *command = app.add_subcommand("report", "Show, convert, compare and merge leak reports");
  command->add_option("FILE", options->files, "Leak reports of `pidleak run --report`, or - for standard input")
      ->type_name("");
  add_output_options(command, &options->outputs);
  command->add_flag("--status", options->status, "Exit with the status of the verdicts, as `pidleak run` does");
  command->require_subcommand(0, 1);
  command->footer("Without a rendering it prints what `pidleak run` prints. Status 0: it could be read and rendered,\n"
                  "whatever the verdicts are; 2: it could not.\n\n"
                  "Examples:\n"
                  "  pidleak report leaks.json\n"
                  "  pidleak report leaks.json --junit leaks.xml --trace leaks.trace.json\n"
                  "  pidleak report leaks.json --github --markdown \"$GITHUB_STEP_SUMMARY\" --status\n"
                  "  pidleak report diff main.json branch.json\n"
                  "  pidleak report merge shard-*.json -o leaks.json");
  add_diff(command, status);
  add_merge(command, status);
  command->callback([options, command, &status] {
    if (command->get_subcommands().empty())
      status = show(*options);
  });
}

} // namespace pidleak::cli
