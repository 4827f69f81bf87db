// pidleak-tracker: the helper process of pools that have one. Argument: the descriptor of its pipe.
#include "harness/pool/tracker.hpp"

#include <cstdio>
#include <cstdlib>

int main(int argc, char **argv) {
  if (argc != 2) {
    std::fprintf(stderr, "%s: is started by a pool, not by hand\n", argv[0]);
    return 2;
  }
  pidleak::pool::run_tracker(std::atoi(argv[1]));
  return 0;
}
