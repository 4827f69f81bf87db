// The sandbox of one replay: its process tree, its cgroups, its scratch directory; all gone after any exit.
//
//   harness ──fork──▶ warden ──fork──▶ init: runs the replay ──▶ subject ──▶ workers ...
//      │ lifeline       │ makes and removes cgroups        ▲
//      └───────────────▶│ lifeline ────────────────────────┘
//      │ turn           │ turn                   │
//      └───────────────▶└───────────────────────▶│
//                 result pipe ◀──────────── init
//
// Where a PID namespace is to be had, init is its PID 1, and the kernel ends everything in it when init ends: on
// its own, or by PR_SET_PDEATHSIG when the warden dies. Otherwise init is a child subreaper below a warden that is
// one too, and ends what is below it when its lifeline is cut. When the harness dies, by SIGKILL as well, the warden
// reads the end of the lifeline, ends init and cleans up. When the warden dies first, the harness does.
#pragma once

#include "harness/census/tree.hpp"
#include "harness/os/process_ref.hpp"
#include "harness/os/scratch_cgroup.hpp"
#include "harness/os/unique_fd.hpp"
#include "reports/report.hpp"

#include <functional>
#include <string>
#include <vector>

namespace pidleak::replay {

/// What this machine offers to sandboxes. Found once: it needs a few forks.
struct Facilities {
  reports::Tier strongest = reports::Tier::subreaper;
  bool user_namespace = false;    // the PID namespace needs one around it
  std::vector<std::string> notes; // why it is not stronger, a sentence each
  os::CgroupPlace pids, memory;
};
Facilities find_facilities();

struct SandboxOptions {
  Facilities facilities;
  reports::Tier tier = reports::Tier::subreaper; // at most facilities.strongest
  bool memory_cgroup = false;                    // one for the victim of an OOM kill is wanted
  bool own_network = false;                      // and System V IPC, where they are to be had
  int process_cap = 1024;
  /// The body may wait until Sandbox::let_go(), see turn.hpp.
  bool waits_for_turn = false;
  milliseconds bound{120000}; // backstop: the warden ends a sandbox that takes longer, from its turn on
};

/// What the code in the sandbox finds there.
struct Inside {
  reports::Tier tier = reports::Tier::subreaper;
  std::vector<std::string> notes;
  int lifeline = -1;         // end of file: the warden is gone, end at once
  int turn = -1;             // end of file: it is this sandbox's turn; -1: it has been from the start
  Clock::time_point since;   // when the sandbox was begun
  int outer_proc = -1;       // a /proc of the harness's PID namespace; -1 where it is the same
  std::string scratch;       // a directory, empty but for the subject's TMPDIR, `tmp`
  census::Boundary boundary; // of everything in the sandbox
  std::string census_cgroup; // everything in the sandbox is in this group or below; empty: there is none
  std::string memory_cgroup; // for the victim alone; empty: none, and `memory_lacks` says why
  os::CgroupVersion memory_version = os::CgroupVersion::v2;
  std::string memory_lacks;
  bool own_network = false;
};

/// The tree in it, below the calling process, which must be the sandbox's init.
census::TreeOptions tree_of(const Inside &inside, pid_t subject);

/// What a sandbox makes outside itself, by name, so that the harness can remove it when the warden was killed.
struct SandboxNames {
  std::string base_name;                 // of cgroups: unique, and names the harness as owner
  std::vector<std::string> cgroups = {}; // paths; children of a removed group go with it
  std::string scratch = {};              // of the subreaper tier: a directory
};

/// Owns a running sandbox. The destructor ends it and waits until nothing of it is left.
class Sandbox {
public:
  /// Forks; the caller must have no other thread. `body` runs as the sandbox's init; its result is read with
  /// collect(). Throws SyscallError.
  static Sandbox start(const SandboxOptions &options, const std::function<std::string(const Inside &)> &body);
  Sandbox(Sandbox &&) = default;
  Sandbox &operator=(Sandbox &&) = delete;
  ~Sandbox();

  /// It is its turn from now on.
  void let_go() { turn_.reset(); }
  /// Readable when there is something to collect.
  int result_fd() const { return result_.get(); }
  /// Readable when everything is cleaned up.
  int end_fd() const { return warden_.pidfd(); }
  /// Reads what has come, without blocking. True when the body has ended and everything is cleaned up.
  bool collect();
  /// What the body returned; nothing if it did not come to its end, or not yet.
  bool has_result() const;
  std::optional<std::string> result() const;
  /// Why there is no result.
  const std::string &failure() const { return failure_; }

private:
  Sandbox(os::ProcessRef warden, os::UniqueFd lifeline, os::UniqueFd turn, os::UniqueFd result, SandboxNames names)
      : warden_(std::move(warden)), lifeline_(std::move(lifeline)), turn_(std::move(turn)), result_(std::move(result)),
        names_(std::move(names)) {}
  void finish();

  os::ProcessRef warden_;
  os::UniqueFd lifeline_, turn_, result_;
  SandboxNames names_;
  std::string bytes_, failure_;
  bool finished_ = false;
};

} // namespace pidleak::replay
