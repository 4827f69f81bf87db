#include "reports/junit.hpp"

#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/remaining_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace pidleak::reports {
namespace {

/// For element content and for attributes in double quotes. What XML 1.0 forbids (2.2, Char) is escaped as printable()
/// does; a line break of an attribute would be read as a space (3.3.3).
std::string xml(const std::string &bytes) {
  std::string text;
  auto safe = printable(bytes, LineBreaks::kept);
  for (std::string_view rest = safe; !rest.empty();) {
    std::size_t length = 1;
    switch (rest[0]) {
    case '&':
      text += "&amp;";
      break;
    case '<':
      text += "&lt;";
      break;
    case '>': // "]]>" may not stand in a text
      text += "&gt;";
      break;
    case '"':
      text += "&quot;";
      break;
    case '\n':
      text += "&#10;";
      break;
    case '\t':
      text += "&#9;";
      break;
    default:
      if (rest.starts_with("\xef\xbf\xbe") || rest.starts_with("\xef\xbf\xbf")) { // well-formed UTF-8, no XML
        text += rest[2] == '\xbe' ? "\\ufffe" : "\\uffff";
        length = 3;
      } else {
        text += rest[0];
      }
    }
    rest.remove_prefix(length);
  }
  return text;
}

/// Text content, in which line breaks may stay as they are.
std::string xml_lines(const std::string &lines) {
  std::string text;
  for (std::string_view rest = lines; !rest.empty();) {
    auto line = rest.substr(0, rest.find('\n'));
    text += xml(std::string(line));
    rest.remove_prefix(line.size());
    if (!rest.empty()) {
      text += '\n';
      rest.remove_prefix(1);
    }
  }
  return text;
}

struct Case {
  const Report *report;
  std::string name;
};

struct Suite {
  std::string scenario;
  std::vector<Case> cases;
};

struct Counts {
  std::size_t tests = 0, failures = 0, errors = 0, skipped = 0;
  double seconds = 0;

  void add(const Report &report, Outcome outcome) {
    ++tests;
    failures += outcome == Outcome::failed;
    errors += outcome == Outcome::error;
    skipped += outcome == Outcome::skipped;
    seconds += report.total_ms / 1000;
  }
  /// Those that the schema has for the root too.
  std::string attributes() const {
    return fmt::format(R"(tests="{}" failures="{}" errors="{}" time="{:.3f}")", tests, failures, errors, seconds);
  }
};

void number_repeated(Suite &suite) {
  std::map<std::string, int> all, seen;
  for (const auto &test : suite.cases)
    ++all[test.name];
  for (auto &test : suite.cases)
    if (auto name = test.name; all[name] > 1)
      test.name += fmt::format(" #{}", ++seen[name]);
}

std::vector<Suite> suites_of(const std::vector<Report> &reports) {
  std::vector<Suite> suites;
  for (const auto &report : reports) {
    auto suite = std::find_if(suites.begin(), suites.end(),
                              [&](const Suite &known) { return known.scenario == report.scenario; });
    if (suite == suites.end())
      suite = suites.insert(suite, {.scenario = report.scenario, .cases = {}});
    auto method = layout::variant(report);
    suite->cases.push_back({.report = &report, .name = report.pool + (method.empty() ? "" : " " + method)});
  }
  for (auto &suite : suites)
    number_repeated(suite);
  return suites;
}

/// Surefire's schema has no zone; it is UTC.
std::string timestamp_of(const Suite &suite) {
  const auto &started = suite.cases.front().report->started;
  return started.size() == 20 && started.back() == 'Z' ? fmt::format(R"( timestamp="{}")", xml(started.substr(0, 19)))
                                                       : "";
}

std::vector<std::pair<std::string, std::string>> properties_of(const Report &report) {
  std::vector<std::pair<std::string, std::string>> all = {
      {"tier", spell(report.tier)},
      {"census_complete", report.census_complete ? "true" : "false"},
      {"verdict", spell(report.verdict)},
      {"pool_version", report.pool_version}};
  for (const auto &[name, value] : report.conditions)
    all.emplace_back("condition." + name, value);
  return all;
}

/// Jenkins's schema has them for suites alone: what all tests of the suite share is told once, everything else with the
/// name of its test.
std::string properties_of(const Suite &suite) {
  std::vector<std::string> names;                                                 // in order of appearance
  std::map<std::string, std::vector<std::pair<std::string, std::string>>> values; // test and value, by name
  for (const auto &test : suite.cases)
    for (const auto &[name, value] : properties_of(*test.report)) {
      if (values[name].empty())
        names.push_back(name);
      values[name].emplace_back(test.name, value);
    }
  std::string text;
  for (const auto &name : names) {
    const auto &all = values[name];
    bool shared = all.size() == suite.cases.size() &&
                  std::all_of(all.begin(), all.end(), [&](const auto &one) { return one.second == all[0].second; });
    for (const auto &[test, value] : all) {
      text += fmt::format("      <property name=\"{}\" value=\"{}\"/>\n",
                          xml(shared ? name : fmt::format("{}: {}", test, name)), xml(value));
      if (shared)
        break;
    }
  }
  return "    <properties>\n" + text + "    </properties>\n";
}

/// What there is to read in a test that has not passed.
std::string failure_of(const Report &report) {
  std::string text = printable(report.reason) + "\n";
  for (const auto &evidence : report.evidence)
    text += fmt::format("{} {}: {}\n", evidence.shown ? "shown    " : "NOT SHOWN", printable(evidence.condition),
                        printable(evidence.text));
  text += growth_lines(growing_groups(report), "") + remaining_lines(report, "") + suppression_lines(report, "");
  if (report.verdict == Verdict::broken && !report.subject_stderr.empty())
    text += "the last of its output:\n" + printable(report.subject_stderr, LineBreaks::kept);
  return text;
}

std::string result_of(const Report &report, Outcome outcome, const Deviation &deviation) {
  auto reason = xml(reason_of(report, deviation));
  switch (outcome) {
  case Outcome::skipped:
    return fmt::format("      <skipped message=\"{}\"/>\n", reason);
  case Outcome::failed:
  case Outcome::error: {
    const auto *element = outcome == Outcome::failed ? "failure" : "error";
    return fmt::format("      <{0} type=\"{1}\" message=\"{2}\">{3}</{0}>\n", element, spell(report.verdict), reason,
                       xml_lines(failure_of(report)));
  }
  case Outcome::passed:
    break;
  }
  auto left = remaining_lines(report, "") + suppression_lines(report, "");
  return left.empty()
             ? ""
             : fmt::format("      <system-out>{}</system-out>\n", xml_lines(printable(report.reason) + "\n" + left));
}

} // namespace

std::string render_junit(const std::vector<Report> &reports, const Deviation &deviation) {
  Counts all;
  std::string body;
  for (const auto &suite : suites_of(reports)) {
    Counts counts;
    std::string cases;
    for (const auto &[report, name] : suite.cases) {
      auto outcome = outcome_of(*report, deviation);
      counts.add(*report, outcome);
      all.add(*report, outcome);
      cases +=
          fmt::format("    <testcase classname=\"pidleak.{}\" name=\"{}\" time=\"{:.3f}\">\n{}    </testcase>\n",
                      xml(suite.scenario), xml(name), report->total_ms / 1000, result_of(*report, outcome, deviation));
    }
    body += fmt::format("  <testsuite name=\"{}\" {} skipped=\"{}\"{}>\n{}{}  </testsuite>\n", xml(suite.scenario),
                        counts.attributes(), counts.skipped, timestamp_of(suite), properties_of(suite), cases);
  }
  return fmt::format("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"pidleak\" {}>\n{}</testsuites>\n",
                     all.attributes(), body);
}

} // namespace pidleak::reports
