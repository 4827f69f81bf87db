#include "harness/protocol/mistakes.hpp"

#include "harness/base/suggestion.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace pidleak::protocol {
namespace {

using Words = std::vector<std::string>;

/// The members of hello that list words, and the words.
const std::map<std::string, Words> &words_of_hello() {
  static const std::map<std::string, Words> all = {{"start_methods", spellings<StartMethod>()},
                                                   {"dispositions", spellings<Sigterm>()},
                                                   {"handlers_registered", spellings<HandlerRegistered>()},
                                                   {"signal_resets", spellings<SignalReset>()},
                                                   {"terminates", spellings<Terminate>()},
                                                   {"queue_slots", spellings<QueueSlots>()},
                                                   {"death_points", spellings<DeathPoint>()}};
  return all;
}

bool contains(const Words &words, const std::string &word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

} // namespace

const std::map<std::string, std::vector<std::string>> &known_events() {
  static const std::map<std::string, Words> all = {
      {"hello",
       {"protocol", "pool", "version", "start_methods", "dispositions", "runtime_handles_sigterm",
        "handlers_registered", "signal_resets", "terminates", "queue_slots", "death_points", "death_points_with",
        "reports_queue_depth", "allocates", "reports_breakage", "holds_before_count", "longest_timer"}},
      {"pool_created", {"workers", "helpers", "queue_capacity", "objects", "forked_at"}},
      {"submitted", {"workers", "helpers", "queue_capacity", "objects", "forked_at", "refused"}},
      {"queue_depth", {"depth"}},
      {"shutdown_called", {}},
      {"shutdown_returned", {"done", "failed", "unresolved"}},
      {"error", {"message"}},
      {"broken", {"queue_depth"}},
      {"signal_sent", {"pid", "signal"}},
      {"worker_exited", {"pid", "status", "signal"}},
      {"breakage_handled", {}},
      {"management_thread_ended", {"exception"}},
      {"at", {"point", "task", "pid"}},
      {"survived", {"pid"}}};
  return all;
}

std::vector<std::string> find_mistakes(const Message &event) {
  auto shown = [](const std::string &text) { return Message::printable(text); };
  auto known = known_events().find(event.name());
  if (known == known_events().end()) {
    Words names;
    for (const auto &[name, members] : known_events())
      names.push_back(name);
    return {fmt::format("there is no event \"{}\"{}", shown(event.name()), suggestion(event.name(), names))};
  }
  std::vector<std::string> mistakes;
  for (const auto &[member, value] : event.fields().items())
    if (member != "event" && !contains(known->second, member))
      mistakes.push_back(fmt::format("{}: there is no member \"{}\"{}", event.name(), shown(member),
                                     known->second.empty() ? "" : suggestion(member, known->second)));
  if (event.name() == "hello")
    for (const auto &[member, words] : words_of_hello())
      if (event.has(member))
        for (const auto &word : event.texts(member))
          if (!contains(words, word))
            mistakes.push_back(
                fmt::format("hello: {}: there is no \"{}\"{}", member, shown(word), suggestion(word, words)));
  if (event.name() == "hello" && event.has("longest_timer"))
    if (auto seconds = event.integer("longest_timer"); seconds < 0 || seconds > longest_timer_s)
      mistakes.push_back(fmt::format("hello: longest_timer: {} is not within 0 and {}", seconds, longest_timer_s));
  return mistakes;
}

} // namespace pidleak::protocol
