#include "harness/replay/evidence.hpp"

#include <catch2/catch_test_macros.hpp>

#include <csignal>

using namespace pidleak;
using namespace pidleak::replay;

namespace {

const os::WaitStatus killed{.signaled = true, .value = SIGKILL};
const Conditions oom{.death = Death::oom};

} // namespace

TEST_CASE("an OOM kill is shown by a SIGKILL and a counter that grew by exactly one", "[evidence]") {
  DeathFacts facts{.victim = 7, .exited = true, .status = killed, .oom_kills = 1};
  CHECK(show_death(oom, facts).shown);
  facts.oom_kills = 0; // a kill -9 from elsewhere looks the same to waitid
  CHECK_FALSE(show_death(oom, facts).shown);
  facts.oom_kills = 2;
  CHECK_FALSE(show_death(oom, facts).shown);
}

TEST_CASE("a victim that ended otherwise, or not at all, shows nothing", "[evidence]") {
  DeathFacts facts{
      .victim = 7, .exited = true, .status = os::WaitStatus{.signaled = false, .value = 1}, .oom_kills = 1};
  CHECK_FALSE(show_death(oom, facts).shown);
  facts.status = os::WaitStatus{.signaled = true, .value = SIGTERM};
  CHECK_FALSE(show_death(oom, facts).shown);
  facts.exited = false;
  CHECK_FALSE(show_death(oom, facts).shown);
  CHECK(show_death(oom, facts).text.starts_with("worker 7 survived"));
}

TEST_CASE("where the kernel does not tell how the victim ended, a delivered SIGKILL does", "[evidence]") {
  DeathFacts facts{.victim = 7, .exited = true};
  CHECK_FALSE(show_death({.death = Death::sigkill}, facts).shown);
  facts.kill_delivered = true;
  CHECK(show_death({.death = Death::sigkill}, facts).shown);
  facts.status_told = os::WaitStatus{.signaled = false, .value = 0}; // and the pool's word counts against it
  CHECK_FALSE(show_death({.death = Death::sigkill}, facts).shown);
}

TEST_CASE("a SIGKILL in place of an OOM kill says so", "[evidence]") {
  auto evidence = show_death(oom, {.victim = 7, .exited = true, .status = killed, .kill_delivered = true});
  CHECK(evidence.shown);
  CHECK(evidence.facts.at("substitute") == "sigkill");
  CHECK(evidence.text.find("--oom=sigkill") != std::string::npos);
}

TEST_CASE("the queue's state is shown by its depth when the pool broke", "[evidence]") {
  Conditions full{.queue = CallQueueState::full};
  CHECK(show_queue(full, 5, 5, true).shown);
  CHECK_FALSE(show_queue(full, 4, 5, true).shown);
  CHECK(show_queue({}, 0, 5, true).shown);
  CHECK_FALSE(show_queue({}, 1, 5, true).shown);
  Conditions cured{.queue_slots = QueueSlots::plenty, .queue = CallQueueState::full};
  CHECK(show_queue(cured, 20, 1000, true).shown); // the tasks are there, and there is room for them
  CHECK_FALSE(show_queue(cured, 0, 1000, true).shown);
}

TEST_CASE("SIGTERM's disposition is shown in the subject, and what the workers make of it is recorded", "[evidence]") {
  using Action = os::SignalAction;
  Conditions handler{.sigterm = Sigterm::handler};
  auto evidence =
      show_sigterm(handler, Action::handler, {{3, Action::default_}, {4, Action::handler}, {5, Action::default_}});
  CHECK(evidence.shown);
  CHECK(evidence.facts.at("workers default") == "2");
  CHECK(evidence.text == "SIGTERM handler in the subject and in 1 of 3 workers, default in 2 of 3 workers");
  CHECK_FALSE(show_sigterm(handler, Action::default_, {{3, Action::default_}}).shown);
  CHECK_FALSE(show_sigterm({}, Action::handler, {}).shown);
  CHECK(show_sigterm({}, Action::handler, {}, true).shown); // a runtime that catches it by itself
  CHECK_FALSE(show_sigterm({.sigterm = Sigterm::blocked}, Action::default_, {}).shown);
}

TEST_CASE("an order of exits and count that was asked for must have been kept up", "[evidence]") {
  Conditions count_first{.race = Race::count_first};
  CHECK(show_race(count_first, false, true).shown);
  CHECK_FALSE(show_race(count_first, false, false).shown);
  CHECK(show_race({}, true, false).facts.at("forced") == "yes");
  CHECK(show_race({}, false, false).facts.at("forced") == "no");
}
