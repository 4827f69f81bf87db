#include "harness/cli/load.hpp"

#include "harness/os/launch.hpp"
#include "harness/os/poll.hpp"
#include "harness/os/subreaper.hpp"

#include <fmt/format.h>
#include <sched.h>

#include <algorithm>
#include <charconv>

namespace pidleak::cli {
namespace {

struct Stressor {
  const char *word;
  std::vector<std::string> options; // stress-ng(1); a number follows the first
  std::vector<std::string> bounds = {};
};

/// A new kind is a line here. What they write goes with the sandbox: its scratch directory is theirs.
const std::vector<Stressor> &stressors() {
  static const std::vector<Stressor> all = {{"cpu", {"--cpu"}},
                                            {"io", {"--io", "--iomix"}, {"--iomix-bytes", "16m"}},
                                            {"mem", {"--vm"}, {"--vm-bytes", "32m"}},
                                            {"fork", {"--fork"}}};
  return all;
}

int cores() {
  cpu_set_t allowed;
  return ::sched_getaffinity(0, sizeof allowed, &allowed) == 0 ? CPU_COUNT(&allowed) : 1;
}

/// `--timeout 0`: for ever, and without the alarm(2) that stress-ng sets else: beside an alarm of any process, a replay
/// can't claim for some seconds that its own are at rest.
std::vector<std::string> arguments_for(const std::map<std::string, int> &wanted, const std::string &scratch) {
  std::vector<std::string> arguments = {"--quiet", "--timeout", "0", "--temp-path", scratch};
  for (const auto &stressor : stressors())
    if (auto found = wanted.find(stressor.word); found != wanted.end()) {
      for (const auto &option : stressor.options)
        arguments.insert(arguments.end(), {option, std::to_string(found->second)});
      arguments.insert(arguments.end(), stressor.bounds.begin(), stressor.bounds.end());
    }
  return arguments;
}

/// In the sandbox, as its init: until the load ends, or its sandbox is to.
std::string run_load(const std::string &program, const std::map<std::string, int> &wanted,
                     const replay::Inside &inside) {
  auto child =
      os::launch({.program = program, .arguments = arguments_for(wanted, inside.scratch), .default_signals = true});
  for (;;) {
    std::vector<pollfd> ends = {{.fd = inside.lifeline, .events = POLLIN, .revents = 0},
                                {.fd = child.pidfd(), .events = POLLIN, .revents = 0}};
    os::poll_for(ends, std::chrono::hours(1));
    if (ends[0].revents != 0)
      return "its sandbox was ended";
    if (ends[1].revents != 0)
      return "stress-ng " + os::reap(child).text();
  }
}

} // namespace

std::vector<std::string> load_words() {
  std::vector<std::string> words;
  for (const auto &stressor : stressors())
    words.emplace_back(stressor.word);
  return words;
}

std::map<std::string, int> parse_load(const std::vector<std::string> &words) {
  std::map<std::string, int> wanted;
  for (const auto &given : words) {
    auto equals = given.find('=');
    auto word = given.substr(0, equals);
    auto known = load_words();
    if (std::find(known.begin(), known.end(), word) == known.end())
      refuse_word("--load", word, known);
    int count = cores();
    if (equals != given.npos) {
      const char *end = given.data() + given.size();
      auto [rest, error] = std::from_chars(given.data() + equals + 1, end, count);
      if (error != std::errc() || rest != end || count < 1 || count > 256)
        throw UsageError(fmt::format("--load {}: the number of stressors must be 1 to 256, as in cpu=2", given));
    }
    wanted[word] = count;
  }
  return wanted;
}

Load Load::start(const std::map<std::string, int> &wanted, const Place &place) {
  auto program = os::find_on_path("stress-ng");
  if (program.empty())
    throw LoadLacking("--load: stress-ng is not on PATH; Debian's package stress-ng has it");
  constexpr std::chrono::hours bound{24 * 12}; // as long as a soak may take
  return Load(replay::Sandbox::start({.facilities = place.facilities, .tier = place.tier, .bound = bound},
                                     [&](const replay::Inside &inside) { return run_load(program, wanted, inside); }));
}

std::string Load::why_ended() {
  if (!sandbox_.collect())
    return "";
  auto result = sandbox_.result();
  return result ? *result : sandbox_.failure();
}

} // namespace pidleak::cli
