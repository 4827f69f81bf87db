// What the small program understands by itself, and what it leaves to the other one.
#include "harness/cli/guard_run.hpp"
#include "harness/cli/plain_arguments.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace pidleak;
using namespace pidleak::cli;

namespace {

using Words = std::vector<std::string>;

bool takes(const Words &words, GuardRun *into = nullptr) {
  GuardRun run;
  Words arguments = {"guard"};
  arguments.insert(arguments.end(), words.begin(), words.end());
  bool taken = take_plain(plain_guard_options(into ? *into : run), arguments, (into ? *into : run).guard.command);
  return taken;
}

} // namespace

TEST_CASE("plain options are taken, with or without an equals sign", "[cli]") {
  GuardRun run;
  CHECK(takes({"--timeout", "60", "-k", "0.5", "--report=r.json", "--error-exitcode=0", "--", "make", "--", "-j2"},
              &run));
  CHECK(run.timeout_s == 60);
  CHECK(run.kill_after_s == 0.5);
  CHECK(run.report_path == "r.json");
  CHECK(run.error_exitcode == 0);
  CHECK(run.guard.command == Words{"make", "--", "-j2"});
}

TEST_CASE("whatever is unusual is left to the command line's own parser", "[cli]") {
  for (const auto &words : std::vector<Words>{{"--help"},
                                              {"true"},
                                              {"--"},
                                              {"--timeout", "60"},
                                              {"--timeout", "60", "true"},
                                              {"--timeout", "1m", "--", "true"},
                                              {"--timeout", "-1", "--", "true"},
                                              {"--timeout", "nan", "--", "true"},
                                              {"--timeout", "1e3", "--", "true"},
                                              {"--timeout", "1e9", "--", "true"},
                                              {"--timeout", "", "--", "true"},
                                              {"--timeout", "--", "true"},
                                              {"--timeout", "1", "--timeout", "2", "--", "true"},
                                              {"-k1", "--", "true"},
                                              {"--error-exitcode", "256", "--", "true"},
                                              {"--error-exitcode", "1.5", "--", "true"},
                                              {"--report", "", "--", "true"},
                                              {"--report", "-", "--", "true"},
                                              {"--report", "[a,b]", "--", "true"},
                                              {"--time", "60", "--", "true"},
                                              {"--keep", "--", "true"}})
    CHECK_FALSE(takes(words));
}
