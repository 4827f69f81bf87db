#include "workers/specimens/run_specimen.hpp"

#include "harness/os/syscall_error.hpp"
#include "harness/replay/command.hpp"
#include "reports/document.hpp"

#include <poll.h>

namespace pidleak::specimens {

using reports::Report;

Report run_specimen(const Invocation &invocation) {
  static const auto facilities = replay::find_facilities();
  replay::SandboxOptions options{.facilities = facilities,
                                 .tier = facilities.strongest,
                                 .bound = invocation.run_bound + invocation.settle_bound + std::chrono::seconds(10)};
  replay::Plan plan{.step_bound = invocation.run_bound, .settle_bound = invocation.settle_bound};
  plan.command = replay::CommandPlan{.command = invocation.arguments};
  plan.command->command.insert(plan.command->command.begin(), invocation.program);
  auto sandbox = replay::Sandbox::start(options, [&](const replay::Inside &inside) {
    return reports::to_document({replay::drive_command(plan, inside)});
  });
  while (!sandbox.collect()) {
    pollfd readable{.fd = sandbox.result_fd(), .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, -1) < 0 && errno != EINTR)
      os::throw_errno("poll(result of a sandbox)");
  }
  auto result = sandbox.result();
  if (result)
    return reports::from_document(*result).at(0);
  Report report;
  report.reason = "the specimen's run did not come to its end: " + sandbox.failure();
  return report;
}

} // namespace pidleak::specimens
