#include "reports/annotations.hpp"

#include "harness/base/spelling.hpp"
#include "reports/layout.hpp"
#include "reports/remaining_text.hpp"

#include <fmt/format.h>

namespace pidleak::reports {
namespace {

enum class Place { message, property };

/// As @actions/core escapes: %, CR and LF; in a property the separators as well. % comes first, being the escape.
std::string escaped(const std::string &bytes, Place place) {
  std::string text;
  for (char c : printable(bytes, LineBreaks::kept))
    if (c == '%' || c == '\r' || c == '\n' || (place == Place::property && (c == ':' || c == ',')))
      text += fmt::format("%{:02X}", static_cast<unsigned char>(c));
    else
      text += c;
  return text;
}

const char *command_for(const Report &report) {
  switch (report.verdict) {
  case Verdict::skipped:
    return "notice";
  case Verdict::invalid:
  case Verdict::broken:
    return "warning";
  default: // leaked, hung, and a clean one where a leak was expected
    return "error";
  }
}

std::string annotation(const Tally &tally, const Report &report, std::size_t count, const Deviation &deviation) {
  auto title = fmt::format("pidleak: {}: {}", spell(report.verdict), layout::title_of(report));
  auto message = reason_of(report, deviation);
  if (tally.replays.size() > 1)
    message += fmt::format(" (in {} of {} replays)", count, tally.replays.size());
  if (auto lines = growth_lines(growing_groups(report), "") + remaining_lines(report, ""); !lines.empty())
    message.append("\n").append(lines, 0, lines.size() - 1);
  return fmt::format("::{} title={}::{}\n", command_for(report), escaped(title, Place::property),
                     escaped(message, Place::message));
}

} // namespace

std::string render_annotations(const Tallies &tallies, const Deviation &deviation) {
  std::string text;
  for (const auto &tally : tallies.all())
    for (auto [verdict, count] : verdicts_of(tally))
      if (const auto &report = first_with(verdict, tally).first; outcome_of(report, deviation) != Outcome::passed)
        text += annotation(tally, report, count, deviation);
  return text;
}

} // namespace pidleak::reports
