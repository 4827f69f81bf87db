// pidleak-specimen NAME: is that specimen. Without a name: lists them.
#include "harness/os/signals.hpp"
#include "workers/specimens/specimen.hpp"

#include <cstdio>
#include <exception>

int main(int argc, char **argv) {
  using namespace pidleak;
  for (const auto &specimen : specimens::all())
    if (argc < 2)
      std::printf("%s: %s\n", specimen.name.c_str(), specimen.what.c_str());
    else if (specimen.name == argv[1])
      try {
        os::ignore_sigpipe();
        specimen.run();
        std::fflush(stdout);
        ::_exit(0);
      } catch (const std::exception &e) {
        std::fprintf(stderr, "pidleak-specimen %s: %s\n", argv[1], e.what());
        return 1;
      }
  if (argc < 2)
    return 0;
  std::fprintf(stderr, "pidleak-specimen: there is no specimen \"%s\"\n", argv[1]);
  return 2;
}
