#include "harness/tracing/point.hpp"

#include "harness/base/spelling.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace pidleak::tracing {
namespace {

/// `text` after its first `mark` as a number from 1, which is cut off; 1 where there is no mark. Nothing: no number.
std::optional<int> cut_number(std::string_view &text, char mark) {
  auto at = text.find(mark);
  if (at == std::string_view::npos)
    return 1;
  auto digits = text.substr(at + 1);
  int number = 0;
  auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || number < 1)
    return {};
  text = text.substr(0, at);
  return number;
}

std::string counted(std::string_view text, char mark, int number) {
  return number == 1 ? std::string(text) : fmt::format("{}{}{}", text, mark, number);
}

bool is_word(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
  });
}

} // namespace

std::string to_text(const Actor &actor) { return counted(spell(actor.role), '#', actor.number); }

std::optional<Actor> parse_actor(std::string_view text) {
  auto number = cut_number(text, '#');
  auto role = parse_spelling<Role>(text);
  if (!number || !role)
    return {};
  return Actor{.role = *role, .number = *number};
}

std::string to_text(const Point &point) {
  const auto &[thread, step, occurrence] = point.place;
  auto text =
      fmt::format("{}:{}:{}#{}", counted(to_text(point.actor), '/', thread), step, occurrence.name, occurrence.number);
  return occurrence.when ? text + ":" + spell(*occurrence.when) : text;
}

std::optional<Point> parse_point(std::string_view text) {
  std::vector<std::string_view> parts;
  for (;;) {
    auto part = text.substr(0, text.find(':'));
    parts.push_back(part);
    if (part.size() == text.size())
      break;
    text.remove_prefix(part.size() + 1);
  }
  if (parts.size() != 3 && parts.size() != 4)
    return {};
  Point point;
  auto thread = cut_number(parts[0], '/');
  auto actor = parse_actor(parts[0]);
  auto number = cut_number(parts[2], '#');
  if (!thread || !actor || !number || !is_word(parts[1]) || !is_word(parts[2]))
    return {};
  if (parts.size() == 4) {
    point.place.occurrence.when = parse_spelling<When>(parts[3]);
    if (!point.place.occurrence.when)
      return {};
  }
  point.actor = *actor;
  point.place.thread = *thread;
  point.place.step = parts[1];
  point.place.occurrence.name = parts[2];
  point.place.occurrence.number = *number;
  return point;
}

} // namespace pidleak::tracing
