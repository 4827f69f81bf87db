#include "harness/replay/server/facts.hpp"

#include "harness/os/procfs.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>

namespace pidleak::replay {

using reports::Evidence;

namespace {

constexpr std::size_t most_named = 6;

std::string first_of(const std::vector<std::string> &names) {
  auto shown = std::min(names.size(), most_named);
  auto text = fmt::format("{}", fmt::join(names.begin(), names.begin() + static_cast<long>(shown), ", "));
  return shown == names.size() ? text : fmt::format("{} and {} more", text, names.size() - shown);
}

} // namespace

Evidence show_sigterm_at_start(Sigterm at_start, const RunningServer &server) {
  auto word = [](pid_t pid) {
    auto status = os::read_status(pid);
    return status ? spell(os::action_of(*status, SIGTERM)) : std::string("unknown");
  };
  std::map<std::string, int> counts;
  for (const auto &one : server.held())
    if (!one.is_master)
      ++counts[word(one.process.pid())];
  auto master = word(server.master().pid());
  auto text = fmt::format("SIGTERM was {} when it was started; once it was ready it was {} in the master",
                          spell(at_start), master);
  for (const auto &[action, count] : counts)
    text += fmt::format(", {} in {} worker{}", action, count, count == 1 ? "" : "s");
  return {
      .condition = "sigterm", .shown = true, .text = text, .facts = {{"wanted", spell(at_start)}, {"subject", master}}};
}

Evidence show_held_up(const RunningServer &server, const census::Walk &walk, double seconds, const std::string &since) {
  std::vector<pid_t> workers;
  bool has_master = false;
  auto helpers = server.helpers();
  for (const auto &member : walk.members)
    if (member.pid == server.master().pid())
      has_master = true;
    else if (member.state != census::ProcessState::zombie && !helpers.contains(member.pid))
      workers.push_back(member.pid);
  auto who =
      workers.empty() ? std::string() : fmt::format("{} worker{}", workers.size(), workers.size() == 1 ? "" : "s");
  if (has_master)
    who = who.empty() ? "the master" : "the master and " + who;
  auto text = who.empty() ? std::string("none was left while the request was still in a worker's hands")
                          : fmt::format("{} {} still there {:.1f} s after {}, before the request was released", who,
                                        has_master + workers.size() == 1 ? "was" : "were", seconds, since);
  return {.condition = "held-up",
          .shown = true,
          .text = text,
          .facts = {{"master", has_master ? "1" : "0"},
                    {"workers", std::to_string(workers.size())},
                    {"pids", fmt::format("{}", fmt::join(workers, " "))}}};
}

Evidence show_leaving(const RunningServer &server, double since_ms, const std::string &since) {
  std::vector<double> workers;
  std::optional<double> master;
  std::size_t there = 0;
  for (const auto &one : server.held()) {
    there += !one.is_master && (!one.left_at_ms || *one.left_at_ms >= since_ms);
    if (one.left_at_ms && *one.left_at_ms >= since_ms)
      (one.is_master ? master.emplace(0) : workers.emplace_back()) = (*one.left_at_ms - since_ms) / 1000;
  }
  std::sort(workers.begin(), workers.end());
  Evidence evidence{.condition = "left", .shown = true, .text = "", .facts = {{"since", since}}};
  evidence.text = there == 0 ? fmt::format("there was no worker to leave after {}", since)
                             : fmt::format("{} of {} workers left after {}", workers.size(), there, since);
  if (!workers.empty())
    evidence.text +=
        workers.back() - workers.front() < 0.05
            ? fmt::format(", within {:.2f} s", workers.back())
            : fmt::format(", the first within {:.2f} s, the last after {:.2f} s", workers.front(), workers.back());
  if (master)
    evidence.text += fmt::format("; the master after {:.2f} s", *master);
  for (std::size_t i = 0; i < workers.size(); ++i)
    evidence.facts[fmt::format("worker {} s", i + 1)] = fmt::format("{:.3f}", workers[i]);
  if (master)
    evidence.facts["master s"] = fmt::format("{:.3f}", *master);
  return evidence;
}

std::optional<Evidence> show_notice(const RunningServer &server) {
  constexpr double at_once_ms = 500;
  std::optional<double> died;
  double last = 0;
  int left = 0, workers = 0, told = 0, by_signal = 0;
  for (const auto &one : server.held())
    if (one.is_master)
      died = one.left_at_ms;
  for (const auto &one : server.held()) {
    workers += !one.is_master;
    if (one.is_master || !one.left_at_ms || !died)
      continue;
    ++left;
    last = std::max(last, *one.left_at_ms - *died);
    told += one.status.has_value();
    by_signal += one.status && one.status->signaled;
  }
  if (!died || workers == 0)
    return {};
  Evidence evidence{.condition = "notices", .shown = true, .text = "", .facts = {}};
  auto tell = [&](const char *how, const std::string &text) {
    evidence.facts["how"] = how;
    evidence.text = text;
  };
  if (left == 0)
    tell("never", "no worker notices its master's death");
  else if (left < workers)
    tell("some", fmt::format("{} of {} workers noticed their master's death", left, workers));
  else if (by_signal > 0 && by_signal == told)
    tell("signal", "the kernel ends each worker with its master (PR_SET_PDEATHSIG)");
  else if (last < at_once_ms)
    tell("event", "each worker notices its master's death at once: by the end of a pipe or socket, or a signal");
  else
    tell("timer", fmt::format("each worker notices its master's death by a timer, here within {:.0f} s",
                              std::ceil(last / 1000)));
  return evidence;
}

std::optional<Evidence> show_port(const reports::Report &report) {
  std::map<std::string, std::vector<std::string>> holders;
  auto add = [&](const census::RemainingProcess &process) {
    for (const auto &address : process.attributes ? process.attributes->listens : std::vector<std::string>{})
      holders[address].push_back(std::to_string(process.pid));
  };
  if (report.owner)
    add(*report.owner);
  for (const auto &process : report.remaining)
    add(process);
  if (holders.empty())
    return {};
  Evidence evidence{.condition = "port", .shown = true, .text = "", .facts = {}};
  for (const auto &[address, pids] : holders) {
    evidence.text += fmt::format("{}{} is held by pid {}", evidence.text.empty() ? "" : "; ", address, first_of(pids));
    evidence.facts[address] = fmt::format("{}", fmt::join(pids, " "));
  }
  return evidence;
}

std::optional<Evidence> show_serving(RunningServer &server, const std::string &path) {
  if (path.empty())
    return {};
  // As many as may answer one after the other; one that holds the port and is mute keeps a request waiting.
  auto asked = std::max<std::size_t>(4, 2 * server.workers().size());
  std::set<std::string> answers;
  std::size_t answered = 0;
  for (std::size_t i = 0; i < asked; ++i) {
    auto answer = server.ask(path, milliseconds(1000));
    if (!answer)
      break;
    ++answered;
    auto text = answer->substr(0, answer->find_last_not_of(" \r\n") + 1);
    if (!text.empty() && std::all_of(text.begin(), text.end(), [](unsigned char c) { return c >= '0' && c <= '9'; }))
      answers.insert(text);
  }
  Evidence evidence{.condition = "serves", .shown = true, .text = "", .facts = {}};
  evidence.facts = {{"answered", std::to_string(answered)}, {"pids", fmt::format("{}", fmt::join(answers, " "))}};
  if (answered == 0)
    evidence.text = "no process answers requests any more";
  else if (answers.empty())
    evidence.text = "requests are still answered";
  else
    evidence.text = fmt::format("requests are still answered, by pid {}", fmt::join(answers, ", "));
  return evidence;
}

Evidence show_request(const Request &request) {
  auto state = request.state();
  const char *word = state == Request::State::answered  ? "answered"
                     : state == Request::State::dropped ? "dropped"
                                                        : "waits";
  Evidence evidence{.condition = "request", .shown = true, .text = "", .facts = {{"request", word}}};
  evidence.text = state == Request::State::answered ? "the request that kept a worker busy was answered"
                  : state == Request::State::dropped
                      ? "the request that kept a worker busy was dropped: " + request.why()
                      : "the request that kept a worker busy still waits for its answer";
  return evidence;
}

} // namespace pidleak::replay
