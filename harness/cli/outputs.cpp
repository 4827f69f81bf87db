#include "harness/cli/outputs.hpp"

#include "harness/cli/output_file.hpp"
#include "reports/annotations.hpp"
#include "reports/file.hpp"
#include "reports/html.hpp"
#include "reports/junit.hpp"
#include "reports/markdown.hpp"
#include "reports/trace.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <iterator>

namespace pidleak::cli {
namespace {

using reports::Deviation;
using reports::Report;
using reports::Tallies;

struct Rendering {
  const char *option, *help;
  std::string (*of_tallies)(const Tallies &, const Deviation &);
  std::string (*of_each)(const std::vector<Report> &, const Deviation &) = nullptr; // in place of the other
};

/// A new rendering is a line here.
constexpr Rendering renderings[] = {
    {"--html", "Write a page to this file: timelines, what remains and why; it needs no network",
     [](const Tallies &tallies, const Deviation &) { return reports::render_html(tallies); }},
    {"--junit", "Write JUnit XML to this file", nullptr, reports::render_junit},
    {"--markdown", "Write a Markdown summary to this file, $GITHUB_STEP_SUMMARY for instance",
     reports::render_markdown},
    {"--trace", "Write a timeline to this file, for ui.perfetto.dev or chrome://tracing", nullptr,
     [](const std::vector<Report> &all, const Deviation &) { return reports::render_trace(all); }},
};

} // namespace

std::vector<Option> output_options(Outputs &outputs) {
  std::vector<Option> options;
  for (const auto &rendering : renderings)
    options.push_back({.name = rendering.option,
                       .into = [&outputs, option = rendering.option](
                                   const std::string &path) { outputs.files[option] = output_path(path); },
                       .summary = rendering.help,
                       .value = "FILE",
                       .group = "Renderings"});
  options.push_back({.name = "--github",
                     .into = &outputs.github,
                     .summary = "Print annotations for GitHub Actions",
                     .group = "Renderings"});
  return options;
}

bool Outputs::want_each() const {
  return std::any_of(std::begin(renderings), std::end(renderings), [this](const Rendering &rendering) {
    return rendering.of_each && files.contains(rendering.option);
  });
}

bool Outputs::take_stdout(const std::string &report_path) const {
  return report_path == standard_output ||
         std::any_of(files.begin(), files.end(), [](const auto &file) { return file.second == standard_output; });
}

void check_outputs(const Outputs &outputs, const std::string &report_path) {
  std::map<std::string, std::string> taken = {{report_path, "--report"}};
  for (const auto &[option, path] : outputs.files) {
    check_output(option, path);
    if (auto [other, is_new] = taken.emplace(path, option); !is_new && path != "/dev/null")
      throw UsageError(fmt::format("{} and {} name the same file: {}", other->second, option, path));
  }
}

void write_outputs(const Outputs &outputs, const Results &results, bool stdout_is_taken, const Deviation &deviation) {
  for (const auto &rendering : renderings)
    if (auto file = outputs.files.find(rendering.option); file != outputs.files.end())
      reports::write_atomically(file->second, rendering.of_each ? rendering.of_each(results.each, deviation)
                                                                : rendering.of_tallies(results.tallies, deviation));
  if (outputs.github)
    std::fputs(reports::render_annotations(results.tallies, deviation).c_str(),
               stdout_is_taken || outputs.take_stdout() ? stderr : stdout);
}

} // namespace pidleak::cli
