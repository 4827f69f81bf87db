// Misspelt words must not do nothing in silence.
#include "harness/os/pipe.hpp"
#include "harness/protocol/mistakes.hpp"

#include <catch2/catch_test_macros.hpp>

using namespace pidleak::protocol;

namespace {

std::vector<std::string> mistakes_in(const std::string &line) { return find_mistakes(Message::parse(line, "event")); }

} // namespace

TEST_CASE("an event, a member or a word of hello that means nothing is a mistake", "[protocol]") {
  CHECK(mistakes_in(R"({"event": "submited"})") ==
        std::vector<std::string>{"there is no event \"submited\"; did you mean \"submitted\"?"});
  CHECK(mistakes_in(R"({"event": "pool_created", "worker": [1]})") ==
        std::vector<std::string>{"pool_created: there is no member \"worker\"; did you mean \"workers\"?"});
  CHECK(mistakes_in(R"({"event": "shutdown_called", "at": 1})") ==
        std::vector<std::string>{"shutdown_called: there is no member \"at\""});
  CHECK(mistakes_in(R"({"event": "hello", "start_methods": ["frok"]})") ==
        std::vector<std::string>{"hello: start_methods: there is no \"frok\"; did you mean \"fork\"?"});
}

TEST_CASE("what the protocol knows is none, and neither are bytes that a terminal would obey", "[protocol]") {
  CHECK(mistakes_in(R"({"event": "hello", "protocol": 1, "pool": "p", "version": "1", "start_methods": ["spawn"]})")
            .empty());
  CHECK(mistakes_in(R"({"event": "at", "point": "in-task", "task": 0, "pid": 1})").empty());
  CHECK(mistakes_in(R"({"event": "\u001b[2J"})").front().find('\x1b') == std::string::npos);
}

TEST_CASE("the guide names every event and member that is no mistake", "[protocol]") {
  auto guide = pidleak::os::read_file(PIDLEAK_SOURCE_DIR "/harness/protocol/PROTOCOL.md");
  for (const auto &[event, members] : known_events()) {
    INFO(event);
    CHECK((guide.find("`" + event + "`") != guide.npos || guide.find("\"" + event + "\"") != guide.npos));
    for (const auto &member : members) {
      INFO(member);
      CHECK((guide.find("`" + member + "`") != guide.npos || guide.find("\"" + member + "\"") != guide.npos));
    }
  }
}
