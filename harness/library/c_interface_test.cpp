// The C interface: what it hands out and takes back, what it refuses, and marks that keep.
#include "harness/library/library_test_support.hpp"
#include "pidleak.h"
#include "reports/schema_test_support.hpp"

#include <spawn.h>
#include <sys/prctl.h>

#include <thread>

using namespace pidleak;
using namespace pidleak::testing;

namespace {

/// A text that the library has handed out.
struct CText {
  char *text = nullptr;
  CText() = default;
  CText(const CText &) = delete;
  CText &operator=(const CText &) = delete;
  ~CText() { pidleak_free(text); }
  std::string_view view() const { return text ? text : ""; }
};

void succeeds(int code, const CText &error, Where where = BOOST_CURRENT_LOCATION) {
  expect_equal(code, int(PIDLEAK_OK), error.view(), where);
}

pidleak_options options_with(int grace_ms) {
  pidleak_options options = PIDLEAK_OPTIONS;
  options.grace_ms = grace_ms;
  return options;
}

class CSession {
public:
  explicit CSession(const pidleak_options &options) {
    CText error;
    succeeds(pidleak_open(&options, &session_, &error.text), error);
  }
  CSession(const CSession &) = delete;
  CSession &operator=(const CSession &) = delete;
  ~CSession() { pidleak_close(session_); }
  pidleak_session *get() const { return session_; }

private:
  pidleak_session *session_ = nullptr;
};

class CMark {
public:
  explicit CMark(const CSession &session, const char *name = "a test") {
    CText error;
    succeeds(pidleak_set_mark(session.get(), name, &mark_, &error.text), error);
  }
  CMark(const CMark &) = delete;
  CMark &operator=(const CMark &) = delete;
  ~CMark() { pidleak_drop_mark(mark_); }
  pidleak_mark *get() const { return mark_; }

  void verdict_is(pidleak_verdict wanted, const char *part = "", Where where = BOOST_CURRENT_LOCATION) const {
    int verdict = -1;
    CText json, text, error;
    succeeds(pidleak_check(mark_, &verdict, &json.text, &text.text, &error.text), error, where);
    expect_equal(verdict, int(wanted), text.view(), where);
    expect_part(text.view(), part, where);
    expect_equal(errors_in(nlohmann::ordered_json::parse(json.view())), "", "what the schema finds", where);
  }
  void keep(pid_t pid = 0) const {
    CText error;
    succeeds(pidleak_keep(mark_, pid, &error.text), error);
  }
  void end(int grace_ms = 0) const {
    CText error;
    succeeds(pidleak_end(mark_, grace_ms, &error.text), error);
  }

private:
  pidleak_mark *mark_ = nullptr;
};

pid_t spawn(const char *program) {
  std::string name = program;
  char *arguments[] = {name.data(), nullptr};
  pid_t pid = 0;
  expect_equal(::posix_spawnp(&pid, program, nullptr, nullptr, arguments, environ), 0, "posix_spawn");
  return pid;
}

} // namespace

TEST_CASE("in C: a process that remains is told and ended, and its clean twin is not", "[library]") {
  check_in_plain_child([] {
    {
      CSession session(options_with(0));
      expect(os::is_subreaper(), "it adopts orphans from the first");
      CMark mark(session);
      start_daemon(true);
      mark.verdict_is(PIDLEAK_LEAKED, "a test: a process remains");
      mark.end();
      mark.verdict_is(PIDLEAK_CLEAN, "nothing remains");
    }
    expect(!os::is_subreaper(), "no more");
    expect_no_child();
  });
}

TEST_CASE("in C: what remains gets SIGTERM first, and SIGKILL where that does nothing", "[library]") {
  check_in_plain_child([] {
    CSession session(options_with(0));
    for (bool obeys : {true, false}) {
      CMark mark(session);
      auto process = plant([&] { ::signal(SIGTERM, obeys ? [](int) { ::_exit(7); } : SIG_IGN); });
      mark.end(obeys ? 30'000 : 50);
      if (auto status = process.exit_status()) // Linux 6.15
        expect_equal(status->text(), obeys ? "exited with 7" : "killed by SIGKILL", "how it has ended");
      expect_no_child();
    }
    CMark mark(session);
    auto stopped = plant([] { ::signal(SIGTERM, [](int) { ::_exit(7); }); });
    stopped.send(SIGSTOP);
    wait_until_state(stopped, 'T');
    mark.end(10'000);
    if (auto status = stopped.exit_status())
      expect_equal(status->text(), "exited with 7", "how a stopped one has ended");
    expect_no_child();
  });
}

TEST_CASE("in C: an ended child is left to a runtime that waits for it, and an orphan is not", "[library]") {
  check_in_plain_child([] {
    auto options = options_with(0);
    options.reap = 0;
    CSession session(options);
    CMark mark(session);
    auto child = plant();
    start_daemon(true);
    mark.verdict_is(PIDLEAK_LEAKED, "2 processes remain");
    mark.end();
    expect(child.has_exited(), "it has ended");
    expect_equal(os::reap(child).text(), "killed by SIGKILL", "status, after all");
    mark.verdict_is(PIDLEAK_CLEAN);
    expect_no_child();
  });
}

TEST_CASE("in C: what a mark keeps is no other's, nor what comes below it, and not its leak alone", "[library]") {
  check_in_plain_child([] {
    CSession session(options_with(0));
    auto go = os::open_pipe();
    CMark test(session, "the test");
    {
      CMark fixture(session, "the fixture");
      auto server = start([&] {
        char byte = 0;
        os::read_exactly(go.read_end.get(), &byte, 1);
        plant();
        pause_for_ever();
      });
      test.verdict_is(PIDLEAK_LEAKED, "the test: a process remains"); // as long as nothing is kept
      fixture.keep();
      test.verdict_is(PIDLEAK_CLEAN);
      os::write_all(go.write_end.get(), ".");
      wait_until([&] { return !os::read_children(server.pid()).empty(); }, "it has a child");
      test.verdict_is(PIDLEAK_CLEAN);
      server.send(SIGKILL);
      os::reap(server);
      test.verdict_is(PIDLEAK_CLEAN); // its child is an orphan now
      auto later = plant();
      fixture.verdict_is(PIDLEAK_LEAKED, "the fixture: a process remains"); // the orphan
      test.verdict_is(PIDLEAK_LEAKED, "the test: a process remains");       // the later one
      fixture.keep(later.pid());
      test.verdict_is(PIDLEAK_CLEAN);
      fixture.verdict_is(PIDLEAK_LEAKED, "2 processes remain");
    }
    test.verdict_is(PIDLEAK_LEAKED, "2 processes remain"); // the fixture is no more
    test.end();
    expect_no_child();
  });
}

TEST_CASE("in C: helpers may stay, what they fork may not", "[library]") {
  check_in_plain_child([] {
    auto ends = os::open_pipe();
    auto helper = [&] { // as Python's fork server: a program, and forks of it
      std::string shell = "sh", option = "-c",
                  script = "(read x <&3) & wait; (read x <&3) & wait; read x <&3 # the server";
      char *arguments[] = {shell.data(), option.data(), script.data(), nullptr};
      posix_spawn_file_actions_t actions;
      ::posix_spawn_file_actions_init(&actions);
      ::posix_spawn_file_actions_adddup2(&actions, ends.read_end.get(), 3);
      pid_t pid = 0;
      expect_equal(::posix_spawnp(&pid, "sh", &actions, nullptr, arguments, environ), 0, "posix_spawn");
      ::posix_spawn_file_actions_destroy(&actions);
      wait_until([&] { return !os::read_children(pid).empty(); }, "it has a child");
      return pid;
    };
    const pidleak_helper known{.command_line = "sh -c *# the server", .role = "the fork server"};
    auto options = options_with(0);
    options.helpers = &known;
    options.helper_count = 1;
    CSession exempting(options), counting(options_with(0));
    CMark all(counting), one(exempting);
    auto server = helper();
    one.verdict_is(PIDLEAK_LEAKED, "a process remains, apart from 1 tolerated");
    one.verdict_is(PIDLEAK_LEAKED, "the fork server: it serves this process for as long as that lives");
    all.verdict_is(PIDLEAK_LEAKED, "2 processes remain");
    CMark later(exempting), later_counting(counting); // the helper was there before
    later.verdict_is(PIDLEAK_CLEAN);
    auto first = os::read_children(server);
    os::write_all(ends.write_end.get(), "\n");
    wait_until([&] { return !os::read_children(server).empty() && os::read_children(server) != first; },
               "its first fork has ended, and there is another one");
    later.verdict_is(PIDLEAK_LEAKED, "a process remains");
    later_counting.verdict_is(PIDLEAK_CLEAN);
    one.end();
    one.verdict_is(PIDLEAK_CLEAN);
    all.end();
    expect_no_child();
  });
}

TEST_CASE("in C: an ended child that was spawned is doubtful until it is noted", "[library]") {
  check_in_plain_child([] {
    CSession session(options_with(0));
    CMark mark(session);
    auto pid = spawn("true");
    os::wait_for_any_exit({os::ProcessRef::open(pid).value().pidfd()}, 20s);
    mark.verdict_is(PIDLEAK_DOUBTFUL);
    CText error;
    succeeds(pidleak_note_child(pid, &error.text), error);
    mark.verdict_is(PIDLEAK_LEAKED, "not-reaped");
    mark.end();
    expect_no_child();
  });
}

TEST_CASE("in C: rules come as text, and are read once", "[library]") {
  check_in_plain_child([] {
    auto options = options_with(30'000);
    options.suppressions = R"({"suppressions": [{"comm": "known", "reason": "not ours"}]})";
    CSession session(options);
    CMark mark(session);
    plant([] { ::prctl(PR_SET_NAME, "known"); });
    auto since = Clock::now();
    mark.verdict_is(PIDLEAK_CLEAN, "not ours");
    expect(Clock::now() - since < 15s, "what may remain is not waited for");
  });
}

TEST_CASE("in C: what can't be is refused, with a code and a text", "[library]") {
  auto refused = [](int code, pidleak_error wanted, const CText &error, const char *part) {
    expect_equal(code, int(wanted), error.view());
    expect_part(error.view(), part);
  };
  check_in_plain_child([&] {
    pidleak_session *session = nullptr;
    auto refuses = [&](const pidleak_options &options, const char *part) {
      CText error;
      refused(pidleak_open(&options, &session, &error.text), PIDLEAK_BAD_ARGUMENT, error, part);
      expect(!session && !os::is_subreaper(), "nothing has changed");
    };
    auto options = options_with(0);
    options.size = 1;
    refuses(options, "options.size");
    refuses(options_with(-1), "options.grace_ms");
    options = options_with(0);
    options.helper_count = 1;
    refuses(options, "options.helpers");
    options = options_with(0);
    options.suppressions = "{";
    refuses(options, "options.suppressions");
    CText error;
    refused(pidleak_open(nullptr, nullptr, &error.text), PIDLEAK_BAD_ARGUMENT, error, "session is NULL");
    expect_equal(pidleak_open(nullptr, nullptr, nullptr), int(PIDLEAK_BAD_ARGUMENT), "without a text");
    pidleak_close(nullptr);
    pidleak_drop_mark(nullptr);
    pidleak_free(nullptr);
  });
  check_in_plain_child([&] {
    CSession session(options_with(0));
    CMark mark(session);
    CText error, later;
    refused(pidleak_keep(mark.get(), -1, &error.text), PIDLEAK_BAD_ARGUMENT, error, "no pid");
    auto child = start([&] {
      CText check, set;
      refused(pidleak_check(mark.get(), nullptr, nullptr, nullptr, &check.text), PIDLEAK_FORKED, check, "forked from");
      pidleak_mark *fresh = nullptr;
      refused(pidleak_set_mark(session.get(), "", &fresh, &set.text), PIDLEAK_FORKED, set, "forked from");
      CSession own(options_with(0)); // a child may have its own
      CMark of_child(own);
      of_child.verdict_is(PIDLEAK_CLEAN);
    });
    expect_equal(os::reap(child).value, 0, "status of the child");
    succeeds(pidleak_check(mark.get(), nullptr, nullptr, nullptr, &later.text), later);
  });
}

TEST_CASE("in C: marks of many threads are set, checked and ended at once, each with its own", "[library]") {
  check_in_plain_child([] {
    CSession session(options_with(0));
    std::vector<std::thread> threads;
    std::vector<std::string> failures(4);
    for (std::size_t i = 0; i < failures.size(); ++i)
      threads.emplace_back([&, i] {
        try {
          for (int round = 0; round < 5; ++round) {
            CMark mark(session);
            plant();
            mark.verdict_is(PIDLEAK_LEAKED, "a process remains");
            mark.end(1000);
            mark.verdict_is(PIDLEAK_CLEAN);
          }
        } catch (const std::exception &e) {
          failures[i] = e.what();
        }
      });
    for (auto &thread : threads)
      thread.join();
    for (const auto &failure : failures)
      expect_equal(failure, "", "what failed");
    expect_no_child();
  });
}
