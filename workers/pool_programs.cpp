// pidleak-worker, pidleak-fork-server and pidleak-tracker, which a pool starts: one program by three names, since each
// would have the same libraries linked into it.
#include "harness/pool/starter.hpp"
#include "harness/pool/tracker.hpp"
#include "workers/worker_code.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <string_view>

namespace {

/// One worker of a pool with start method spawn.
int be_worker(int argc, char **argv) {
  return pidleak::workers::worker_main(argc, argv, [](auto &arguments, const auto &code) {
    auto ends = pidleak::pool::WorkerEnds::from_arguments(arguments);
    code.import_main();
    run_worker(ends, code);
  });
}

/// Forks the workers of a pool with start method forkserver. The pool kills a server that takes too long to leave, and
/// does not know of any child but the workers. So it leaves as they do, without what a library may run at an exit:
/// LeakSanitizer starts a process there that looks at this one.
[[noreturn]] void be_fork_server(int argc, char **argv) {
  ::_exit(pidleak::workers::worker_main(argc, argv, pidleak::pool::run_fork_server));
}

/// The helper process of pools that have one. Argument: the descriptor of its pipe.
int be_tracker(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "%s: is started by a pool, not by hand\n", argv[0]);
    return 2;
  }
  pidleak::pool::run_tracker(std::atoi(argv[1]));
  return 0;
}

} // namespace

int main(int argc, char **argv) {
  std::string_view name = program_invocation_short_name;
  if (name == "pidleak-fork-server")
    be_fork_server(argc, argv);
  return name == "pidleak-tracker" ? be_tracker(argc, argv) : be_worker(argc, argv);
}
