#include "workers/worker_code.hpp"

#include "harness/os/signals.hpp"

#include <cstdio>

namespace pidleak::workers {
namespace {

constexpr std::string_view channel_option = "--channel=";
constexpr std::string_view handler_option = "--handler-at-import";

} // namespace

std::vector<std::string> WorkerSetUp::to_arguments() const {
  std::vector<std::string> arguments = {std::string(channel_option) + channel};
  if (handler_at_import)
    arguments.emplace_back(handler_option);
  return arguments;
}

WorkerSetUp WorkerSetUp::from_arguments(std::vector<std::string> &arguments) {
  WorkerSetUp set_up;
  std::erase_if(arguments, [&](const std::string &argument) {
    if (argument.starts_with(channel_option))
      set_up.channel = argument.substr(channel_option.size());
    else if (argument == handler_option)
      set_up.handler_at_import = true;
    else
      return false;
    return true;
  });
  return set_up;
}

pool::WorkerCode make_worker_code(const WorkerSetUp &set_up) {
  pool::WorkerCode code;
  code.run_task = run_task;
  if (set_up.handler_at_import)
    code.import_main = os::catch_sigterm;
  code.at_point = [channel = Channel(set_up.channel)](pool::WorkerPoint point) {
    channel.hold_if_chosen(spell(point));
  };
  return code;
}

int worker_main(int argc, char **argv, void (*body)(std::vector<std::string> &, const pool::WorkerCode &)) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  try {
    auto code = make_worker_code(WorkerSetUp::from_arguments(arguments));
    body(arguments, code);
    return 0;
  } catch (const std::exception &e) {
    std::fprintf(stderr, "%s: %s\n", argv[0], e.what());
    return 1;
  }
}

} // namespace pidleak::workers
