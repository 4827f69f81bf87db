// The process that owns the pool is killed, as the kernel kills a service that has used up its Pod's memory: no
// process is left to shut the pool down, and a worker that stays now stays for ever.
//
// CPython's workers do: one reads the call queue's pipe, whose write end only its siblings still hold, the others wait
// for the queue's lock. A worker that holds no write end reads the end of the pipe instead, and leaves.
#include "scenarios/scenarios.hpp"

namespace pidleak::scenarios {

const Scenario &owner_killed() {
  using enum reports::Verdict;
  static const Scenario scenario{
      .name = "owner-killed",
      .summary = "the process that owns the pool is OOM-killed while its workers are in their tasks",
      .conditions = {.death = Death::oom, .victim = Victim::owner},
      .subjects = {SubjectKind::pool, SubjectKind::server},
      .tasks = {Tasks::ended, Tasks::finish},
      .start_methods = all_of<StartMethod>(),
      .must_show = {MustShow::death, MustShow::sigterm},
      .expectations = {
          {"cpython36", StartMethod::fork, leaked, 4, 0},
          {"cpython37", StartMethod::fork, leaked, 4, 0},
          {"cpython312", StartMethod::fork, leaked, 4, 0},
          {"hardened", StartMethod::fork, clean},
          {"cpython36", StartMethod::spawn, leaked, 4, 0},
          {"cpython37", StartMethod::spawn, leaked, 4, 0},
          {"cpython312", StartMethod::spawn, leaked, 4, 0},
          {"hardened", StartMethod::spawn, clean},
          {"cpython36", StartMethod::forkserver, leaked, 4, 0},
          {"cpython37", StartMethod::forkserver, leaked, 4, 0},
          {"cpython312", StartMethod::forkserver, leaked, 4, 0},
          {"hardened", StartMethod::forkserver, clean},
      }};
  return scenario;
}

} // namespace pidleak::scenarios
