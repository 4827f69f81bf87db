#include "harness/cli/soak_evidence.hpp"

#include "harness/cli/replays.hpp"
#include "harness/cli/shell.hpp"
#include "harness/replay/run.hpp"
#include "reports/comparison.hpp"
#include "reports/document.hpp"
#include "reports/file.hpp"
#include "reports/terminal.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

namespace pidleak::cli {
namespace {

/// As a part of a file's name.
std::string as_name(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](unsigned char c) { return !std::isalnum(c) && c != '.' && c != '-'; }, '-');
  return text.substr(0, 60);
}

} // namespace

std::string command_of(const replay::Plan &plan, reports::Tier tier) {
  auto words = run_words(replay::described(plan));
  if (plan.oom != replay::OomMode::real)
    words.insert(words.end(), {"--oom", spell(plan.oom)});
  words.insert(words.end(), {"--tier", spell(tier), "--repeat", "1000", "--report", "again.json"});
  return command_line_of(words);
}

std::string keep_evidence(const std::string &parent, const Deviating &deviating) {
  const auto &report = deviating.report;
  auto directory =
      std::filesystem::path(parent) / fmt::format("{}-{}-{}-{}", deviating.number, as_name(report.scenario),
                                                  as_name(report.pool), as_name(reports::outcome_words(report)));
  std::filesystem::create_directories(directory);
  auto write = [&](const char *name, const std::string &text) { reports::write_atomically(directory / name, text); };
  write("report.json", reports::to_document({report}));
  write("report.txt",
        fmt::format("replay {} of the soak: {}, expected: {}\n{}", deviating.number, reports::outcome_words(report),
                    deviating.expected, reports::render_details({report}, {.verbose = true, .done = done_in})));
  write("commands.txt",
        fmt::format("# the same replay again and again\n{}\n# the soak up to it, in the same order\n{}\n",
                    command_of(deviating.plan, report.tier), deviating.soak_command));
  write("stderr.txt", report.subject_stderr);
  return directory;
}

} // namespace pidleak::cli
