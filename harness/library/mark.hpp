// A moment in this process: what has come since is counted, waited for, told and ended. Guard and the C interface stand
// on it.
#pragma once

#include "harness/library/findings.hpp"
#include "harness/os/process_ref.hpp"

#include <memory>

namespace pidleak::library {

/// Keeps this process a subreaper while it exists. In a forked child it does nothing.
class Adoption {
public:
  /// Throws SyscallError.
  Adoption();
  Adoption(const Adoption &) = delete;
  Adoption &operator=(const Adoption &) = delete;
  ~Adoption();

private:
  const pid_t pid_ = ::getpid();
};

class Mark {
public:
  /// Throws SyscallError: ENOTSUP where the kernel can't tell of children.
  Mark(std::string name, std::shared_ptr<const Settings> settings);

  bool is_of_this_process() const { return entered_.pid() == ::getpid(); }

  /// What has come since and is there belongs to this mark, with all that comes below it, and no other mark counts it
  /// as long as this one exists. From then on it counts nothing else.
  void keep();
  /// The same of one process, if it is there.
  void keep(pid_t pid);

  /// Waits until all have left, or it is known that none will, or the grace is over.
  Findings check();

  /// See Guard::end_remaining().
  bool end_remaining(milliseconds ask_first);

private:
  /// Takes part in the registry for as long as it is there.
  class Entered {
  public:
    Entered(std::string name, bool adopts) : entry_(Registry::of_this_process().enter(std::move(name), adopts)) {}
    Entered(const Entered &) = delete;
    Entered &operator=(const Entered &) = delete;
    ~Entered() {
      if (pid_ == ::getpid())
        Registry::of_this_process().leave(entry_);
    }
    pid_t pid() const { return pid_; }
    Entry *entry() const { return entry_; }

  private:
    pid_t pid_ = ::getpid();
    Entry *entry_;
  };

  Checked settle();
  census::Sight sight_of(const Look &look) const;
  std::vector<census::Member> doomed(const Look &look) const;

  const std::string name_;
  const std::shared_ptr<const Settings> settings_;
  const census::Boundary boundary_;
  const std::time_t started_ = std::time(nullptr);
  const Entered entered_;
  Suspects suspects_;
};

} // namespace pidleak::library
