// The tracker: a helper that lives as long as any process holds its pipe, as CPython's resource tracker does.
#pragma once

#include "harness/os/pipe.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/pool/behaviour.hpp"
#include "harness/pool/starter.hpp"

namespace pidleak::pool {

/// Owns the pipe. The process ends when the last holder of the write end has closed it; it is never waited for,
/// which CPython does not do either.
class Tracker {
public:
  /// `unblocks_sigterm`: like CPython 3.7 and later, blocks SIGTERM around the start, so that the tracker can't be
  /// hit before it ignores it, and unblocks it afterwards, although the caller may have had it blocked before.
  Tracker(TrackerPolicy policy, const Program &program);
  Helper helper() const { return {.role = "tracker", .pid = process_.pid()}; }
  int fd() const { return pipe_.write_end.get(); }

private:
  os::Pipe pipe_;
  os::ProcessRef process_;
};

/// The main function of the tracker's program: returns when no process holds the write end any more.
void run_tracker(int read_fd);

} // namespace pidleak::pool
