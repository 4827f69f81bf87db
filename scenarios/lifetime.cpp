// A pool's whole life, with nothing wrong: made, kept busy with more tasks than its queue has slots, shut down.
//
// Every pool is clean under it. It is what a sweep puts its faults into, one at each point of execution.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

namespace {

std::vector<Expectation> clean_on_every_preset() {
  std::vector<Expectation> all;
  for (const char *preset : {"cpython36", "cpython37", "cpython312", "hardened"})
    for (auto method : all_of<StartMethod>())
      all.push_back({.preset = preset, .start_method = method, .verdict = reports::Verdict::clean});
  return all;
}

} // namespace

const Scenario &lifetime() {
  static const Scenario scenario{
      .name = "lifetime",
      .summary = "nothing goes wrong: more tasks than queue slots, some with results larger than a pipe, then shutdown",
      .steps = {replay::Step::create_pool, replay::Step::occupy_workers, replay::Step::do_tasks,
                replay::Step::shut_down, replay::Step::settle},
      .must_show = {MustShow::sigterm, MustShow::fault},
      .expectations = clean_on_every_preset()};
  return scenario;
}

} // namespace pidleak::scenarios
