// The listeners in programs of their own: which tests fail, in each reporter's words, and that nothing is left.
#include "harness/cli/cli_test_support.hpp"

using namespace pidleak;
using namespace pidleak::testing;

namespace {

/// In a subreaper, where all that it leaves turns up.
void check_subject(const std::string &program, const std::vector<std::string> &arguments, int status,
                   const std::function<void(const std::string &)> &check) {
  check_in_child([&] {
    auto ran = run(arguments, PIDLEAK_BINARY_DIR "/" + program);
    expect_equal(ran.status, status, "status; " + ran.out + ran.err);
    check(ran.out);
    expect(os::reap_exited_children(), "no child is left");
  });
}

void expect_in(const std::string &text, const std::vector<std::string> &wanted) {
  for (const auto &word : wanted)
    expect(text.find(word) != text.npos, "`" + word + "` is in " + text);
}

} // namespace

// Of the runs, six leave something: two of these belong to tests that fail anyway, one to one that is expected to.
TEST_CASE("the listener for Catch2 fails each run that leaves something, in every reporter", "[library]") {
  check_subject("pidleak-catch2-subject", {"--order", "decl"}, 42, [](const std::string &out) {
    expect_in(out, {"test cases:  7 |  1 passed | 5 failed | 1 failed as expected",
                    "assertions: 17 | 10 passed | 6 failed | 1 failed as expected", "a process remains",
                    "pidleak: leaking in one of three sections", "(nothing may remain)"});
    expect_equal(count(out, "explicitly with message:\n  pidleak: "), 5U, "failures of the listener; " + out);
  });
  check_subject("pidleak-catch2-subject", {"-r", "xml"}, 42, [](const std::string &out) {
    expect_in(out, {R"(<OverallResults successes="10" failures="6" expectedFailures="1")",
                    R"(<OverallResultsCases successes="1" failures="5" expectedFailures="1")"});
  });
  check_subject("pidleak-catch2-subject", {"-r", "junit"}, 42, [](const std::string &out) {
    expect_in(out, {R"(errors="1" failures="5" skipped="0" tests="17")", "</testsuites>"});
    expect_equal(count(out, "<failure ") + count(out, "<error "), 7U, "failures, and the one that is expected; " + out);
  });
  for (const char *reporter : {"compact", "tap", "automake", "teamcity", "sonarqube"})
    check_subject("pidleak-catch2-subject", {"-r", reporter}, 42, [](const std::string &) {});
}

TEST_CASE("one run at a time as well, as ctest does it; and a crash stays one", "[library]") {
  check_subject("pidleak-catch2-subject", {"clean"}, 0, [](const std::string &) {});
  check_subject("pidleak-catch2-subject", {"leaking"}, 42, [](const std::string &) {});
  check_subject("pidleak-catch2-subject", {"a forked child*"}, 0, [](const std::string &) {});
  check_in_child([] {
    auto ran = run({"a forgotten child that may be an orphan"}, PIDLEAK_BINARY_DIR "/pidleak-catch2-subject");
    expect_equal(ran.status, 0, "status; " + ran.out);
    expect_in(ran.err, {"pidleak: a forgotten child", "the kernel does not say"});
  });
  check_in_child([] { // no process reads its output: what it leaves holds that open
    auto crashing = os::launch(
        {.program = PIDLEAK_BINARY_DIR "/pidleak-catch2-subject", .arguments = {"crashing"}, .standard_error = -1});
    expect(os::reap(crashing) != os::WaitStatus{}, "SIGSEGV, or a sanitizer's status");
    expect(!os::reap_exited_children(), "what it has left is not ended: the process was in no state to");
  });
}

TEST_CASE("the listener for GoogleTest fails each test that leaves something", "[library]") {
  if (::access(PIDLEAK_BINARY_DIR "/pidleak-gtest-subject", X_OK) != 0)
    SKIP("GoogleTest was not there when this was built");
  check_subject("pidleak-gtest-subject", {}, 1, [](const std::string &out) {
    expect_in(out,
              {"[  FAILED  ] 2 tests, listed below", "[  FAILED  ] Subject.Leaking\n",
               "[  FAILED  ] Subject.LeakingAndThrowing", "gtest_subject.cpp", "pidleak: Subject.Leaking: a process"});
    expect_equal(count(out, "a process remains"), 2U, "failures of the listener; " + out);
  });
}

TEST_CASE("a test after which nothing can be looked at fails, and the program goes on", "[library]") {
  check_subject("pidleak-catch2-subject", {"clean,using up all descriptors,closing them*", "--order", "decl"}, 42,
                [](const std::string &out) {
                  expect_in(out, {"test cases: 3 | 1 passed | 2 failed", "pidleak could not look at what remains: "});
                });
  if (::access(PIDLEAK_BINARY_DIR "/pidleak-gtest-subject", X_OK) == 0)
    check_subject("pidleak-gtest-subject",
                  {"--gtest_filter=Subject.Clean:*UsingUpAllDescriptors*", "--gtest_also_run_disabled_tests"}, 1,
                  [](const std::string &out) {
                    expect_in(out, {"[  PASSED  ] 1 test.", "[  FAILED  ] 2 tests", "pidleak could not look at"});
                  });
}
