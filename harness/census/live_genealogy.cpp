#include "harness/census/live_genealogy.hpp"

#include "harness/os/procfs.hpp"

namespace pidleak::census {
namespace {

/// Empty as well where there is no descriptor now: there may be one soon.
std::vector<std::string> read_if_possible(pid_t pid) {
  try {
    return os::read_command_line(pid);
  } catch (const std::exception &) {
    return {};
  }
}

} // namespace

void LiveGenealogy::begin(pid_t command, const std::vector<std::string> &command_line, Clock::time_point started) {
  genealogy_ = tasks_->why_none().empty() ? Genealogy(command, command_line, started) : Genealogy(tasks_->why_none());
}

const Genealogy &LiveGenealogy::now() {
  try {
    if (tasks_) {
      auto events = tasks_->take();
      heard_ += events.size();
      genealogy_.add(events, read_if_possible);
    }
  } catch (const std::exception &e) { // no memory: the rest is worth more
    tasks_.reset();
    genealogy_ = Genealogy(e.what());
  }
  return genealogy_;
}

} // namespace pidleak::census
