// Whether any process below has set an alarm: alarm(2) or setitimer(2) with ITIMER_REAL, which no file of the process
// shows. Root sees all of the machine's in /proc/timer_list; this sees the own ones, as any user.
//
// A seccomp filter tells of these two calls alone, and every call is done as it is (SECCOMP_RET_USER_NOTIF with
// SECCOMP_USER_NOTIF_FLAG_CONTINUE, Linux 5.5). fork(2) hands down the filter and no alarm, so that who has never
// called either has none. The calling process needs CAP_SYS_ADMIN in its user namespace: as the init of a sandbox.
#pragma once

#include "harness/os/pipe.hpp"

#include <atomic>
#include <memory>
#include <thread>

namespace pidleak::os {

class AlarmWatch {
public:
  /// Of all that this thread starts from now on. Null where the kernel refuses. Must live as long as these: a call that
  /// no thread answers fails with ENOSYS.
  static std::shared_ptr<const AlarmWatch> start();
  AlarmWatch(const AlarmWatch &) = delete;
  AlarmWatch &operator=(const AlarmWatch &) = delete;
  ~AlarmWatch();

  /// One was set since the start. It may be over by now.
  bool has_seen_one() const { return seen_; }

private:
  AlarmWatch(UniqueFd listener, Pipe stop);
  void answer();

  UniqueFd listener_;
  Pipe stop_; // what is in it ends the thread
  std::atomic<bool> seen_ = false;
  std::thread thread_;
};

} // namespace pidleak::os
