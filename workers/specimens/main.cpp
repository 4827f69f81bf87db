// pidleak-specimen NAME: is that specimen. Several names: starts each as a child and waits for these owners, not for
// what they leave. Without a name: lists them, each with the verdict that it must get, and why what remains is there.
#include "harness/os/signals.hpp"
#include "workers/specimens/specimen.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string_view>

namespace {

using namespace pidleak;

[[noreturn]] void be(const specimens::Specimen &specimen) {
  try {
    os::ignore_sigpipe();
    specimen.run();
    std::fflush(stdout);
    ::_exit(0);
  } catch (const std::exception &e) {
    std::fprintf(stderr, "pidleak-specimen %s: %s\n", specimen.name.c_str(), e.what());
    ::_exit(1);
  }
}

/// Dies after 100,000 forks, each by the child of the last, which then ends: too fast to be looked at.
void fork_without_rest() {
  for (int left = 100'000; left > 0; --left)
    if (pid_t pid = ::fork(); pid != 0)
      ::_exit(pid < 0);
}

} // namespace

int main(int argc, char **argv) {
  auto all = specimens::all();
  if (argc == 2 && std::string_view(argv[1]) == specimens::pause_option)
    specimens::pause_for_ever();
  if (argc == 2 && std::string_view(argv[1]) == specimens::fork_option)
    fork_without_rest();
  if (argc < 2)
    for (const auto &specimen : all)
      std::printf("%s: %s (%s): %s\n", specimen.name.c_str(), specimen.verdict.c_str(), specimen.causes.c_str(),
                  specimen.what.c_str());
  std::vector<pid_t> owners;
  for (int i = 1; i < argc; ++i) {
    auto found = std::find_if(all.begin(), all.end(), [&](const auto &specimen) { return specimen.name == argv[i]; });
    if (found == all.end()) {
      std::fprintf(stderr, "pidleak-specimen: there is no specimen \"%s\"\n", argv[i]);
      return 2;
    }
    if (argc == 2)
      be(*found);
    owners.push_back(specimens::start([&] { be(*found); }));
  }
  for (pid_t owner : owners)
    specimens::wait_for(owner);
}
