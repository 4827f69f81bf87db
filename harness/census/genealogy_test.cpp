// Who started whom: from hand-made events, and from the kernel's.
#include "harness/census/genealogy.hpp"
#include "harness/os/procfs.hpp"
#include "harness/os/test_support.hpp"

#include <catch2/catch_test_macros.hpp>
#include <poll.h>
#include <sys/wait.h>

#include <csignal>

using namespace pidleak;
using census::Creator;
using census::Genealogy;
using os::TaskEvent;
using What = TaskEvent::Kind;

namespace {

const Clock::time_point began{};

/// At `ms` after the command's start.
TaskEvent event(What kind, pid_t pid, pid_t parent, int ms, const std::string &name = "") {
  return {.kind = kind, .pid = pid, .parent = parent, .name = name, .at = began + milliseconds(ms)};
}

std::vector<std::string> none(pid_t) { return {}; }

/// `make test` is 10.
Genealogy genealogy_of(const std::vector<TaskEvent> &events, const Genealogy::ReadCommandLine &read = none) {
  Genealogy genealogy(10, {"make", "test"}, began);
  genealogy.add({event(What::fork, 10, 5, 0), event(What::exec, 10, 0, 0, "make")}, read);
  genealogy.add(events, read);
  return genealogy;
}

/// `sh(ended 3) make test`
std::string chain(const Genealogy &genealogy, pid_t pid) {
  std::string text;
  for (const auto &creator : genealogy.creators_of(pid)) {
    text += text.empty() ? "" : " <- ";
    for (const auto &word : creator.command_line)
      text += (&word == creator.command_line.data() ? "" : " ") + word;
    if (creator.ended_ms)
      text += " (ended at " + std::to_string(static_cast<int>(*creator.ended_ms)) + ")";
  }
  return text;
}

} // namespace

TEST_CASE("who is dead is among the creators, with when it ended", "[genealogy]") {
  auto genealogy = genealogy_of({event(What::fork, 11, 10, 1), event(What::exec, 11, 0, 1, "sh"),
                                 event(What::fork, 12, 11, 2), event(What::exit, 11, 10, 3)});
  CHECK(chain(genealogy, 12) == "sh (ended at 3) <- make test");
  CHECK(chain(genealogy, 11) == "make test");
  CHECK(chain(genealogy, 10).empty());
  CHECK(genealogy.is_of_command(10));
  CHECK(chain(genealogy, 99).empty());
  CHECK(genealogy.state() == census::GenealogyState::complete);
}

TEST_CASE("a creator has the command line that it had when it forked", "[genealogy]") {
  std::string now = "first";
  auto genealogy = genealogy_of({}, none);
  auto read = [&](pid_t) { return std::vector<std::string>{"sh", now}; };
  genealogy.add({event(What::fork, 11, 10, 1), event(What::exec, 11, 0, 1, "sh")}, read);
  genealogy.add({event(What::fork, 12, 11, 2)}, read);
  now = "second";
  constexpr int later = 2'000'000'000; // than now, when the first was read
  genealogy.add({event(What::exec, 11, 0, later, "sh"), event(What::fork, 13, 11, later)}, read);
  CHECK(chain(genealogy, 12) == "sh first <- make test");
  CHECK(chain(genealogy, 13) == "sh second <- make test");
}

TEST_CASE("a command line that is not there yet is read later, and never that of another program", "[genealogy]") {
  bool is_there = false;
  auto read = [&](pid_t) { return is_there ? std::vector<std::string>{"sh", "-c", "x"} : std::vector<std::string>{}; };
  Genealogy genealogy(10, {"make"}, began);
  genealogy.add({event(What::fork, 11, 10, 1), event(What::exec, 11, 0, 1, "sh"), event(What::fork, 12, 11, 2)}, read);
  CHECK(genealogy.is_reading());
  CHECK(chain(genealogy, 12) == "sh <- make");
  is_there = true;
  genealogy.add({}, read);
  CHECK_FALSE(genealogy.is_reading());
  CHECK(chain(genealogy, 12) == "sh -c x <- make");
  is_there = false;
  genealogy.add({event(What::exec, 11, 0, 3, "gone"), event(What::fork, 13, 11, 3), event(What::exit, 11, 10, 4)},
                read);
  CHECK_FALSE(genealogy.is_reading()); // it has ended
  CHECK(chain(genealogy, 13) == "gone (ended at 4) <- make");
}

TEST_CASE("a command line that was read after the next exec is not that of the program before", "[genealogy]") {
  auto of_the_next = [](pid_t) { return std::vector<std::string>{"sleep", "9"}; };
  Genealogy genealogy(10, {"make"}, Clock::now());
  auto at = [](What kind, pid_t pid, pid_t parent, Clock::duration ago, const std::string &name = "") {
    return TaskEvent{.kind = kind, .pid = pid, .parent = parent, .name = name, .at = Clock::now() - ago};
  };
  genealogy.add({at(What::fork, 11, 10, milliseconds(9)), at(What::exec, 11, 0, milliseconds(8), "sh"),
                 at(What::fork, 12, 11, milliseconds(7))},
                of_the_next);
  genealogy.add({at(What::exec, 11, 0, milliseconds(6), "sleep"), at(What::fork, 13, 11, milliseconds(5))},
                of_the_next);
  CHECK(chain(genealogy, 12) == "sh <- make");
  CHECK(chain(genealogy, 13) == "sleep 9 <- make");
}

TEST_CASE("events of different CPUs may come in the wrong order", "[genealogy]") {
  auto genealogy = genealogy_of({event(What::exec, 11, 0, 2, "sh")});
  genealogy.add({event(What::fork, 11, 10, 1), event(What::fork, 12, 11, 3)}, none);
  CHECK(chain(genealogy, 12) == "sh <- make test");
}

TEST_CASE("a process ends with its last thread", "[genealogy]") {
  auto genealogy = genealogy_of({event(What::fork, 11, 10, 1), event(What::fork, 11, 11, 1),
                                 event(What::fork, 12, 11, 2), event(What::exit, 11, 10, 3)});
  CHECK(chain(genealogy, 12) == "make test <- make test");
  genealogy.add({event(What::exit, 11, 10, 4)}, none);
  CHECK(chain(genealogy, 12) == "make test (ended at 4) <- make test");
}

TEST_CASE("a pid that is given again is another process", "[genealogy]") {
  auto genealogy =
      genealogy_of({event(What::fork, 11, 10, 1), event(What::exec, 11, 0, 1, "old"), event(What::fork, 12, 11, 1),
                    event(What::exit, 11, 10, 2), event(What::fork, 11, 10, 3), event(What::exec, 11, 0, 3, "new"),
                    event(What::fork, 13, 11, 3)});
  CHECK(chain(genealogy, 12) == "old (ended at 2) <- make test");
  CHECK(chain(genealogy, 13) == "new <- make test");
  auto unknown = genealogy_of({event(What::exec, 11, 0, 1, "old"), event(What::exit, 11, 0, 2),
                               event(What::fork, 11, 10, 3), event(What::fork, 12, 11, 4)});
  CHECK(chain(unknown, 12) == "make test <- make test");
}

TEST_CASE("lost events make it partial", "[genealogy]") {
  auto genealogy = genealogy_of({event(What::lost, 0, 0, 1)});
  CHECK(genealogy.state() == census::GenealogyState::partial);
  CHECK_FALSE(genealogy.lacks().empty());
}

TEST_CASE("what has come and gone is forgotten, and what leads to the living is not", "[genealogy]") {
  auto genealogy =
      genealogy_of({event(What::fork, 11, 10, 1), event(What::fork, 12, 11, 1), event(What::exit, 11, 10, 1)});
  auto before = genealogy.write().size();
  for (int i = 0; i < 100'000; ++i)
    genealogy.add({event(What::fork, 20 + i % 10'000, 10, 2), event(What::exit, 20 + i % 10'000, 10, 2)}, none);
  CHECK(genealogy.write().size() < before + 4100 * 60); // the last 4,096
  CHECK(chain(genealogy, 12) == "make test (ended at 1) <- make test");
}

TEST_CASE("what is written is read as the same", "[genealogy]") {
  auto read = [](pid_t) { return std::vector<std::string>{"a b", "", "c\nd"}; };
  auto genealogy = genealogy_of(
      {event(What::fork, 11, 10, 1), event(What::exec, 11, 0, 1, "sh"), event(What::fork, 12, 11, 2)}, read);
  genealogy.add({event(What::exit, 11, 10, 3)}, read);
  auto again = Genealogy::read(genealogy.write());
  CHECK(again.creators_of(12).size() == 2);
  CHECK(chain(again, 12) == chain(genealogy, 12));
  CHECK(again.creators_of(12)[0].command_line == std::vector<std::string>{"a b", "", "c\nd"});
  CHECK(again.is_of_command(10));
  CHECK(again.state() == genealogy.state());
  auto nothing = Genealogy::read(Genealogy("it is forbidden").write());
  CHECK(nothing.state() == census::GenealogyState::none);
  CHECK(nothing.lacks() == "it is forbidden");
  auto text = genealogy.write();
  for (std::size_t size = 0; size + 1 < text.size(); size += 3) // whatever is missing: an error or less, and no crash
    try {
      Genealogy::read(text.substr(0, size)).creators_of(12);
    } catch (const std::invalid_argument &) {
    }
  CHECK_THROWS_AS(Genealogy::read("x"), std::invalid_argument);
}

TEST_CASE("the kernel tells what every process below does, and of no other", "[genealogy]") {
  testing::check_in_child([] {
    os::TaskEvents tasks;
    if (!tasks.why_none().empty())
      return; // by tests of guard: that it says so
    pid_t child = ::fork();
    if (child == 0) {
      if (::fork() == 0) // its parent will be gone
        ::execlp("sleep", "sleep", "100", nullptr);
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    std::vector<TaskEvent> all;
    testing::wait_until(
        [&] {
          pollfd readable{.fd = tasks.fd(), .events = POLLIN, .revents = 0};
          ::poll(&readable, 1, 1000);
          for (auto &one : tasks.take())
            all.push_back(one);
          return std::any_of(all.begin(), all.end(), [](const auto &one) { return one.kind == What::exec; });
        },
        "exec is told");
    pid_t grandchild = 0;
    for (const auto &one : all) {
      testing::expect(one.kind != What::lost, "nothing is lost");
      if (one.kind == What::fork && one.parent == child)
        grandchild = one.pid;
      testing::expect(one.pid == child || one.pid == grandchild, "it is one of both");
      if (one.kind == What::exec)
        testing::expect_equal(one.name, std::string("sleep"), "its program");
    }
    auto sleeping = os::ProcessRef::open(grandchild);
    testing::expect(sleeping.has_value(), "it is there");
    sleeping->send(SIGKILL);
  });
}
