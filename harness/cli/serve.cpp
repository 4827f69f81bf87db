#include "harness/cli/serve.hpp"

#include "harness/base/pattern.hpp"
#include "harness/cli/guard_run.hpp"
#include "harness/os/launch.hpp"
#include "harness/os/signals.hpp"

#include <CLI/StringTools.hpp>
#include <fmt/format.h>
#include <unistd.h>

#include <filesystem>

namespace pidleak::cli {
namespace {

using replay::BusyBy;
using replay::ServerDescription;

constexpr double longest_wait = 3600;

/// `http://127.0.0.1:8000/slow`, or `/slow` on the port that is waited for.
void take_busy(const ServeOptions &options, ServerDescription &server) {
  auto refuse = [&](const std::string &what) { throw UsageError(fmt::format("--busy {}: {}", options.busy, what)); };
  auto rest = options.busy;
  constexpr std::string_view scheme = "http://";
  if (rest.starts_with(scheme)) {
    rest = rest.substr(scheme.size());
    auto host = rest.substr(0, rest.find('/'));
    rest = host.size() < rest.size() ? rest.substr(host.size()) : "/";
    auto colon = host.rfind(':');
    auto name = host.substr(0, colon);
    if (name != "127.0.0.1" && name != "localhost")
      refuse("must be on 127.0.0.1: only what runs in the replay is asked");
    auto port = colon == host.npos ? "80" : host.substr(colon + 1);
    if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != port.npos)
      refuse("has no port");
    server.port = std::stoi(port);
  }
  if (!rest.starts_with('/'))
    refuse("must be a path, such as /slow, or http://127.0.0.1:PORT/PATH");
  if (server.port == 0)
    refuse("on which port? Give --ready-port, or a whole URL");
  server.busy_by = BusyBy::itself;
  server.busy = rest;
}

ServerDescription describe(const ServeOptions &options, const Given &given, int workers) {
  ServerDescription server{.about = options.command};
  server.command = CLI::detail::split_up(options.command);
  if (server.command.empty())
    throw UsageError("--serve: names no command");
  auto program = os::find_on_path(server.command.front());
  if (program.empty() || ::access(program.c_str(), X_OK) != 0)
    throw UsageError(fmt::format(
        "--serve: {} can't be executed: {}{}", server.command.front(),
        program.empty() || ::access(program.c_str(), F_OK) != 0 ? "not found" : "not executable",
        options.command.find_first_of("|&;<>$=") == std::string::npos ? ""
                                                                      : "; what needs a shell is: sh -c 'exec ...'"));
  server.working_directory = server.directory = std::filesystem::current_path();
  server.port = server.ready.port = options.ready_port;
  server.ready.line = options.ready_line;
  server.ready.file = options.ready_file;
  if (given.contains("--workers"))
    server.ready.children = workers;
  if (!options.busy.empty())
    take_busy(options, server);
  if (server.port != 0)
    server.pid = "/";
  auto stop = os::signal_of(options.stop);
  if (!stop)
    throw UsageError(fmt::format("--stop {}: not a signal", options.stop));
  server.stop = *stop;
  server.own_network = options.network == "own";
  return server;
}

void check(const ServeOptions &options, const Given &given, const ReplayOptions &replay) {
  if (!given.contains("--serve")) {
    for (const char *name : {"--busy", "--stop", "--ready-port", "--ready-line", "--ready-file", "--network"})
      if (given.contains(name))
        throw UsageError(fmt::format("{} is for --serve; what is described in a file says it there", name));
    return;
  }
  if (options.ready_port != 0 && options.network == "host" && replay.jobs > 1)
    throw UsageError("--ready-port: two servers can't listen on one port: not with --jobs, but for --network own");
  try {
    Pattern checked(options.ready_line);
  } catch (const std::invalid_argument &e) {
    throw UsageError(fmt::format("--ready-line {}: {}", options.ready_line, e.what()));
  }
}

} // namespace

std::vector<Option> serve_options(ServeOptions &options) {
  std::vector<Option> all = {
      {.name = "--serve",
       .into = &options.command,
       .summary = "A server of your own in place of a pool: its command, quoted as for a shell, in the foreground",
       .value = "COMMAND"},
      {.name = "--ready-port",
       .into = &options.ready_port,
       .summary = "It is ready once it listens there, and its processes stay the same",
       .value = "PORT",
       .range = {{1, 65535}}},
      {.name = "--ready-line",
       .into = &options.ready_line,
       .summary = "It is ready once a line of its output matches, as grep -E has it",
       .value = "PATTERN"},
      {.name = "--ready-file",
       .into = &options.ready_file,
       .summary = "It is ready once this file is there",
       .value = "FILE"},
      {.name = "--ready-within",
       .into = &options.ready_within,
       .summary = "How long a server may take to get ready; one that is not by then is broken",
       .value = "SECONDS",
       .range = {{0.1, longest_wait}},
       .shows_default = true},
      {.name = "--busy",
       .into = &options.busy,
       .summary = "A request that takes long: http://127.0.0.1:PORT/PATH, or /PATH on the port of --ready-port",
       .value = "URL"},
      {.name = "--stop",
       .into = &options.stop,
       .summary = "The signal that asks it to stop gracefully",
       .value = "SIGNAL",
       .shows_default = true},
      {.name = "--network",
       .into = &options.network,
       .summary =
           "host: it may reach what your machine reaches. own: 127.0.0.1 of its own, and side by side with --jobs",
       .value = "WORD",
       .words = {"host", "own"},
       .only_words = true,
       .shows_default = true},
      {.name = "--grace",
       .into = &options.grace,
       .summary = "How long a server may take to stop; what has not stopped by then is hung",
       .value = "SECONDS",
       .range = {{0.1, longest_wait}},
       .shows_default = true}};
  for (auto &option : all)
    option.group = "A server of your own";
  return all;
}

void take_served(const ServeOptions &options, const Given &given, ReplayOptions &replay) {
  check(options, given, replay);
  replay.grace = from_seconds(options.grace);
  replay.ready_within = from_seconds(options.ready_within);
  if (!given.contains("--serve"))
    return;
  if (!given.contains("--pool"))
    replay.pools.clear();
  replay::PoolChoice served{.name = options.command, .program = ""};
  served.server = describe(options, given, replay.workers);
  replay.served = std::move(served);
}

} // namespace pidleak::cli
