#include "harness/cli/outputs.hpp"

#include "harness/os/syscall_error.hpp"
#include "reports/annotations.hpp"
#include "reports/html.hpp"
#include "reports/junit.hpp"
#include "reports/markdown.hpp"
#include "reports/trace.hpp"

#include <fmt/format.h>

#include <cstdio>

namespace pidleak::cli {
namespace {

using reports::Deviation;
using reports::Report;

struct Rendering {
  const char *option, *help;
  std::string (*render)(const std::vector<Report> &, const Deviation &);
};

/// A new rendering is a line here.
constexpr Rendering renderings[] = {
    {"--html", "Write a page to this file: timelines, what remains and why; it needs no network",
     [](const std::vector<Report> &all, const Deviation &) { return reports::render_html(all); }},
    {"--junit", "Write JUnit XML to this file", reports::render_junit},
    {"--markdown", "Write a Markdown summary to this file, $GITHUB_STEP_SUMMARY for instance",
     reports::render_markdown},
    {"--trace", "Write a timeline to this file, for ui.perfetto.dev or chrome://tracing",
     [](const std::vector<Report> &all, const Deviation &) { return reports::render_trace(all); }},
};

} // namespace

std::vector<Option> output_options(Outputs &outputs) {
  std::vector<Option> options;
  for (const auto &rendering : renderings)
    options.push_back(
        {.name = rendering.option,
         .into = [&outputs, option = rendering.option](const std::string &path) { outputs.files[option] = path; },
         .summary = rendering.help,
         .value = "FILE",
         .group = "Renderings"});
  options.push_back({.name = "--github",
                     .into = &outputs.github,
                     .summary = "Print annotations for GitHub Actions",
                     .group = "Renderings"});
  return options;
}

void check_output(const std::string &option, const std::string &path) {
  try {
    reports::check_writable(path);
  } catch (const os::SyscallError &e) {
    throw UsageError(fmt::format("{} {}: can't be written: {}", option, path, e.what()));
  }
}

void check_outputs(const Outputs &outputs, const std::string &report_path) {
  std::map<std::string, std::string> taken = {{report_path, "--report"}};
  for (const auto &[option, path] : outputs.files) {
    check_output(option, path);
    if (auto [other, is_new] = taken.emplace(path, option); !is_new && path != "/dev/stdout" && path != "/dev/null")
      throw UsageError(fmt::format("{} and {} are one file: {}", other->second, option, path));
  }
}

void write_outputs(const Outputs &outputs, const std::vector<Report> &reports, const Deviation &deviation) {
  for (const auto &rendering : renderings)
    if (auto file = outputs.files.find(rendering.option); file != outputs.files.end())
      reports::write_atomically(file->second, rendering.render(reports, deviation));
  if (outputs.github)
    std::fputs(reports::render_annotations(reports, deviation).c_str(), outputs.json ? stderr : stdout);
}

} // namespace pidleak::cli
