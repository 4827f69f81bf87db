// pidleak-fork-server: forks the workers of a pool with start method forkserver.
#include "harness/pool/starter.hpp"
#include "workers/worker_code.hpp"

int main(int argc, char **argv) { return pidleak::workers::worker_main(argc, argv, pidleak::pool::run_fork_server); }
