// pidleak-fork-server: forks the workers of a pool with start method forkserver.
#include "harness/pool/starter.hpp"
#include "workers/worker_code.hpp"

#include <unistd.h>

// The pool kills a server that takes too long to leave, and does not know of any child but the workers. So it leaves as
// they do, without what a library may run at an exit: LeakSanitizer starts a process there that looks at this one.
int main(int argc, char **argv) { ::_exit(pidleak::workers::worker_main(argc, argv, pidleak::pool::run_fork_server)); }
