#include "harness/pool/worker.hpp"

#include "harness/os/signals.hpp"
#include "harness/os/subreaper.hpp"
#include "harness/pool/call_queue.hpp"
#include "harness/pool/result_queue.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <stdexcept>

namespace pidleak::pool {
namespace {

constexpr std::string_view ends_option = "--pool-ends=";

} // namespace

std::vector<int> WorkerEnds::descriptors() const {
  std::vector<int> open;
  for (int fd : {locks, calls_read, calls_write, results_write, tracker})
    if (fd >= 0)
      open.push_back(fd);
  return open;
}

std::vector<std::string> WorkerEnds::to_arguments() const {
  return {fmt::format("{}{},{},{},{},{},{},{}", ends_option, locks, calls_read, calls_write, results_write, tracker,
                      reset_signals ? 1 : 0, leave_with)};
}

WorkerEnds WorkerEnds::from_arguments(std::vector<std::string> &arguments) {
  for (auto argument = arguments.begin(); argument != arguments.end(); ++argument) {
    if (!argument->starts_with(ends_option))
      continue;
    std::string_view rest = std::string_view(*argument).substr(ends_option.size());
    WorkerEnds ends;
    int reset = 0;
    for (int *value : {&ends.locks, &ends.calls_read, &ends.calls_write, &ends.results_write, &ends.tracker, &reset,
                       &ends.leave_with}) {
      auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), *value);
      bool last = value == &ends.leave_with;
      auto used = static_cast<std::size_t>(end - rest.data());
      if (error != std::errc() || (last ? used != rest.size() : used >= rest.size() || *end != ','))
        throw std::invalid_argument("not seven numbers: " + *argument);
      rest.remove_prefix(last ? used : used + 1);
    }
    ends.reset_signals = reset != 0;
    arguments.erase(argument);
    return ends;
  }
  throw std::invalid_argument("no --pool-ends: this program is started by a pool, not by hand");
}

void run_worker(const WorkerEnds &ends, const WorkerCode &code) {
  if (ends.leave_with != 0) {
    os::die_with_parent();
    if (::getppid() != ends.leave_with) // it has gone already
      ::_exit(1);
  }
  if (ends.reset_signals)
    os::reset_all_signals();
  os::ignore_sigpipe(); // the owner may be gone when a result is written
  auto locks = SharedLocksMapping::map(os::UniqueFd::adopt(ends.locks));
  CallReader calls(*locks, ends.calls_read);
  while (auto call = calls.get([&] { code.at_point(WorkerPoint::holding_queue_lock); })) {
    Result result{.id = call->id, .value = code.run_task(call->task)};
    put_result(*locks, ends.results_write, result, [&] { code.at_point(WorkerPoint::half_result); });
  }
}

} // namespace pidleak::pool
