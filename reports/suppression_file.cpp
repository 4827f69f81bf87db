// Reading rules: everything that is not known is an error that says where and what instead. A rule that is misspelt
// must not let more processes remain than was meant.
#include "harness/base/spelling.hpp"
#include "harness/base/suggestion.hpp"
#include "reports/suppressions.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <charconv>
#include <stdexcept>

namespace pidleak::reports {
namespace {

using nlohmann::json;

/// One rule of a file; everything that is wrong is told with its place.
class RuleReader {
public:
  RuleReader(const json &object, std::string place) : object_(object), place_(std::move(place)) {}

  SuppressionRule read() {
    if (!object_.is_object())
      throw std::invalid_argument(place_ + ": is not an object");
    const std::vector<std::string> known = {"comm", "command_line", "kind", "cause", "reason", "expires"};
    for (const auto &[name, value] : object_.items())
      if (std::find(known.begin(), known.end(), name) == known.end())
        wrong(printable(name), "is not known" + suggestion(printable(name), known));
    SuppressionRule rule{.comm = text("comm"),
                         .command_line = text("command_line"),
                         .kind = word<census::Kind>("kind"),
                         .cause = word<census::Cause>("cause"),
                         .reason = text("reason").value_or(""),
                         .expires = day("expires")};
    if (rule.reason.empty())
      wrong("reason", "is missing: why may such a process remain?");
    if (!rule.comm && !rule.command_line && !rule.kind && !rule.cause)
      throw std::invalid_argument(place_ + ": matches nothing: comm, command_line, kind or cause is needed");
    return rule;
  }

private:
  [[noreturn]] void wrong(const std::string &member, const std::string &what) const {
    throw std::invalid_argument(fmt::format("{}: \"{}\" {}", place_, member, what));
  }

  std::optional<std::string> text(const char *member) const {
    auto found = object_.find(member);
    if (found == object_.end())
      return {};
    if (!found->is_string())
      wrong(member, "is not a string");
    auto value = found->get<std::string>();
    if (value.find_first_not_of(" \t\n") == value.npos)
      wrong(member, "is empty");
    if (value.find('\0') != value.npos) // fnmatch(3) would see no more than what is before it
      wrong(member, "has a NUL byte");
    return value;
  }

  template <class E>
  std::optional<E> word(const char *member) const {
    auto value = text(member);
    if (!value)
      return {};
    auto known = parse_spelling<E>(*value);
    if (!known)
      wrong(member, fmt::format("is \"{}\", which is not known{}", printable(*value),
                                suggestion(printable(*value), spellings<E>())));
    return known;
  }

  /// YYYY-MM-DD, a day of the calendar.
  std::optional<std::chrono::year_month_day> day(const char *member) const {
    auto value = text(member);
    if (!value)
      return {};
    auto number = [&](std::size_t from, std::size_t length) {
      unsigned parsed = 0;
      const char *end = value->data() + from + length;
      return std::from_chars(value->data() + from, end, parsed).ptr == end ? parsed : 0;
    };
    if (value->size() == 10 && (*value)[4] == '-' && (*value)[7] == '-' && number(0, 4) > 0) {
      std::chrono::year_month_day parsed{std::chrono::year(static_cast<int>(number(0, 4))),
                                         std::chrono::month(number(5, 2)), std::chrono::day(number(8, 2))};
      if (parsed.ok())
        return parsed;
    }
    wrong(member, fmt::format("is \"{}\", which is not a date: YYYY-MM-DD", printable(*value)));
  }

  const json &object_;
  std::string place_;
};

} // namespace

std::vector<SuppressionRule> parse_suppressions(const std::string &text, const std::string &file) {
  json document;
  try {
    document = json::parse(text, nullptr, true, true); // comments are allowed
  } catch (const json::parse_error &e) {
    throw std::invalid_argument(fmt::format("{}: not JSON from byte {} on", file, e.byte));
  } catch (const json::out_of_range &) {
    throw std::invalid_argument(fmt::format("{}: it has a number that is too large", file));
  }
  if (!document.is_object() || !document.contains("suppressions") || !document["suppressions"].is_array())
    throw std::invalid_argument(fmt::format("{}: it has no list \"suppressions\"", file));
  for (const auto &[name, value] : document.items())
    if (name != "suppressions")
      throw std::invalid_argument(
          fmt::format("{}: \"{}\" is not known; there is: suppressions", file, printable(name)));
  std::vector<SuppressionRule> rules;
  for (const auto &object : document["suppressions"])
    rules.push_back(RuleReader(object, fmt::format("{}: rule {}", file, rules.size() + 1)).read());
  return rules;
}

} // namespace pidleak::reports
