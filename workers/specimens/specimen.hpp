// Small broken pools and workers, each with one defect, and twins that look alike and are clean.
//
// A specimen is a process that owns others. What is wrong with it, and what must be found, stands beside it: the
// verdict on what it leaves behind, and why each process that remains is still there.
#pragma once

#include "harness/os/pipe.hpp"
#include "harness/os/process_ref.hpp"

#include <functional>
#include <string>
#include <vector>

namespace pidleak::specimens {

struct Specimen {
  std::string name;
  std::string what;    // one sentence: what it does wrong, or as a twin does not
  std::string verdict; // clean, leaked, or hung: the owner itself never ends
  /// The first cause of each process that remains, sorted, the owner's last and marked: `not-reaped, owner timer`.
  std::string causes;
  std::function<void()> run; // in the owner; it exits with 0 when this returns
};

std::vector<Specimen> waiting_workers();  // one worker that outlives its owner
std::vector<Specimen> sharing_workers();  // some, stuck on what they share
std::vector<Specimen> hiding_workers();   // in ways to get out of sight
std::vector<Specimen> escaping_workers(); // further away
std::vector<Specimen> stuck_owners();     // who never end
std::vector<Specimen> workers_that_end(); // the twins
std::vector<Specimen> owners_that_end();

/// All of them, the twins last.
std::vector<Specimen> all();

// --- what specimens are made of ------------------------------------------------------------------------------------

/// Forks a worker that runs `body` and exits with 0.
pid_t start(const std::function<void()> &body);
/// The same, and returns once the worker says that it is ready: `body` gets what says so.
pid_t start_and_wait(const std::function<void(const std::function<void()> &ready)> &body);
/// As daemon(3) does it.
void daemonize(const std::function<void()> &body);
[[noreturn]] void pause_for_ever();
/// What pidleak-specimen does nothing else with: for workers that execute it.
constexpr const char *pause_option = "--pause";
/// A chain of forks, each by the last one's child, that goes on for seconds: what can't be counted.
constexpr const char *fork_option = "--fork-without-rest";
/// Takes its time, as slow workers do.
void sleep_ms(int milliseconds);
void compute_ms(int milliseconds);
/// Anonymous memory that workers share with their owner.
void *share(std::size_t size);
/// Fills it until it takes no more.
void fill(const os::Pipe &pipe);
void read_byte(int fd);
void write_byte(int fd);
void read_count(int eventfd);
void wait_for(pid_t pid);

constexpr int a_while_ms = 150; // that a twin takes to end
constexpr int an_hour_s = 3600;

} // namespace pidleak::specimens
