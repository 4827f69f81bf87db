// What there is to say of every row of the table that is not clean.
#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/remaining_text.hpp"
#include "reports/terminal.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace pidleak::reports {
namespace {

using layout::Row;

/// Its last lines: the JSON has all that was kept.
std::string last_output(const std::string &bytes) {
  constexpr std::size_t most_lines = 20;
  std::vector<std::string> lines;
  auto shown = printable(bytes, LineBreaks::kept);
  for (std::string_view rest = shown; !rest.empty();) {
    auto line = rest.substr(0, rest.find('\n'));
    lines.push_back(fmt::format("  |{}{}\n", line.empty() ? "" : " ", line)); // marked: it may look like a report
    rest.remove_prefix(std::min(line.size() + 1, rest.size()));
  }
  auto first = lines.end() - static_cast<long>(std::min(lines.size(), most_lines));
  return fmt::format("  the last of its output:\n{}", fmt::join(first, lines.end(), ""));
}

bool did_not_come_up_again(const Report &report) {
  return std::any_of(report.evidence.begin(), report.evidence.end(), [](const Evidence &evidence) {
    auto up = evidence.facts.find("up");
    return evidence.condition == "started-again" && up != evidence.facts.end() && up->second == "no";
  });
}

std::string body_of(const Report &report, const TerminalOptions &options) {
  auto text = layout::wrapped("  ", printable(report.reason), 4);
  if (auto done = options.done ? options.done(report) : ""; !done.empty() && report.verdict != Verdict::skipped)
    text += layout::wrapped("  done      ", printable(done), 14);
  if (report.verdict != Verdict::skipped)
    for (const auto &evidence : report.evidence)
      text += layout::wrapped(evidence.shown ? "  shown     " : "  NOT SHOWN ",
                              fmt::format("{}: {}", printable(evidence.condition), printable(evidence.text)), 14);
  for (const auto &event : report.timeline)
    if (event.event == "mistake")
      text += layout::wrapped("  mistake   ", printable(event.detail), 12);
  text += growth_lines(growing_groups(report), "  ") + remaining_lines(report, "  ") + suppression_lines(report, "  ");
  if (report.settled_by)
    text += layout::wrapped(
        "  settled   ",
        fmt::format("by {} after {:.{}f} ms{}", spell(*report.settled_by), report.settle_ms,
                    report.settle_ms < 100 ? 1 : 0,
                    report.not_quiescent_because.empty() ? "" : " (" + printable(report.not_quiescent_because) + ")"),
        12);
  if ((report.verdict == Verdict::broken || did_not_come_up_again(report)) && !report.subject_stderr.empty())
    text += last_output(report.subject_stderr);
  return text;
}

/// `leaked`, of several `leaked in 2 of 4 replays (shown: replay 3)`.
std::string verdict_in(const Tally &tally, const Ending &shown, std::size_t count, const TerminalOptions &options) {
  auto text = layout::coloured(shown.first.verdict, spell(shown.first.verdict), options);
  if (tally.replays.size() == 1)
    return text;
  text += fmt::format(" in {} of {} replays", count, tally.replays.size());
  bool one_of_all = shown.first.verdict == Verdict::skipped || count == tally.replays.size();
  return one_of_all ? text : text + fmt::format(" (shown: replay {})", shown.place);
}

/// What some rows of the table have to say, all of them the same.
struct Entry {
  struct Title {
    std::string scenario, start_method, verdict;
    Row pools;
  };
  std::vector<Title> titles;
  std::string same; // what those with the same share an entry for
  std::string body;
};

void add(std::vector<Entry> &entries, const Report &report, const std::string &verdict, const std::string &same,
         const TerminalOptions &options) {
  auto entry = std::find_if(entries.begin(), entries.end(), [&](const Entry &e) { return e.same == same; });
  if (entry == entries.end())
    entry = entries.insert(entry, {.titles = {}, .same = same, .body = body_of(report, options)});
  auto scenario = printable(report.scenario), method = layout::variant(report);
  auto title = std::find_if(entry->titles.begin(), entry->titles.end(), [&](const Entry::Title &t) {
    return t.scenario == scenario && t.start_method == method && t.verdict == verdict;
  });
  if (title == entry->titles.end())
    title =
        entry->titles.insert(title, {.scenario = scenario, .start_method = method, .verdict = verdict, .pools = {}});
  title->pools.push_back(printable(report.pool));
}

constexpr double late_ms = 1000; // for a process to leave, and nothing held it up

/// Besides what is not clean: what a server's processes did that a user may not expect, and with -v all that they did.
bool is_worth_telling(const Report &report, const TerminalOptions &options) {
  auto is_odd = [](const Evidence &evidence) {
    return evidence.condition == "held-up" || evidence.condition == "stays";
  };
  auto is_mistake = [](const TimelineEvent &event) { return event.event == "mistake"; };
  bool is_server = layout::condition(report, "start-method").empty();
  return report.verdict != Verdict::clean || !report.remaining.empty() ||
         (is_server && (options.verbose || report.settle_ms > late_ms)) ||
         std::any_of(report.evidence.begin(), report.evidence.end(), is_odd) ||
         std::any_of(report.timeline.begin(), report.timeline.end(), is_mistake);
}

/// Each verdict of each tally.
std::vector<Entry> all_entries(const Tallies &tallies, const TerminalOptions &options) {
  std::vector<Entry> entries;
  for (const auto &tally : tallies.all())
    for (auto [verdict, count] : verdicts_of(tally))
      if (const auto &shown = first_with(verdict, tally); is_worth_telling(shown.first, options)) {
        auto words = verdict_in(tally, shown, count, options);
        add(entries, shown.first, words, words + body_of(shown.first, options), options);
      }
  return entries;
}

/// Each kind of ending.
std::vector<Entry> distinct_entries(const Tallies &tallies, const TerminalOptions &options) {
  std::vector<Entry> entries;
  for (const auto &tally : tallies.all())
    for (const auto &ending : tally.endings) {
      const auto &report = ending.first;
      bool expected = options.deviation && was_judged(report) && options.deviation(report).empty();
      if (is_worth_telling(report, options) && !expected)
        add(entries, report, verdict_in(tally, ending, ending.count, options), kind_of_ending(report), options);
    }
  return entries;
}

constexpr std::size_t most_titles = 4; // where not all are wanted

} // namespace

std::string render_details(const Tallies &tallies, const TerminalOptions &options) {
  std::string text;
  for (const auto &entry : options.verbose ? all_entries(tallies, options) : distinct_entries(tallies, options)) {
    text += "\n";
    auto shown = options.verbose || entry.titles.size() <= most_titles ? entry.titles.size() : most_titles - 1;
    for (std::size_t i = 0; i < shown; ++i) {
      const auto &title = entry.titles[i];
      text += fmt::format("{} on {}{}: {}\n", title.scenario, fmt::join(title.pools, ", "),
                          title.start_method.empty() ? "" : " with " + title.start_method, title.verdict);
    }
    if (shown < entry.titles.size())
      text += fmt::format("and {} more with the same ending\n", entry.titles.size() - shown);
    text += entry.body;
  }
  return text;
}

std::string render_counts(const Tallies &tallies, const Deviation &deviation) {
  Row counts;
  for (auto [verdict, count] : verdicts_of(tallies))
    counts.push_back(fmt::format("{} {}", count, spell(verdict)));
  auto text = fmt::format("{}", fmt::join(counts, ", "));
  if (!deviation)
    return text;
  std::size_t other = 0;
  for (const auto &tally : tallies.all())
    for (const auto &ending : tally.endings)
      if (was_judged(ending.first) && !deviation(ending.first).empty())
        other += ending.count;
  return text + (other == 0 ? "; as expected" : fmt::format("; {} NOT as expected", other));
}

} // namespace pidleak::reports
