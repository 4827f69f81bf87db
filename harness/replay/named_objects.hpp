// The pipes and locks of a pool by the names that its subject gives them, so that a point of execution can be told in
// words: `read of the call queue's pipe, with the call queue's lock in hand`.
#pragma once

#include "harness/protocol/message.hpp"
#include "harness/tracing/tracer.hpp"

#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace pidleak::replay {

/// Thread-safe: the driver learns the names while the tracer asks for them.
class NamedObjects {
public:
  /// `objects`: as the event pool_created has them, PROTOCOL.md. Those that the owner does not have are passed over.
  /// Throws ProtocolError.
  void learn(pid_t owner, const std::vector<protocol::Message> &objects);

  /// What a call is about: the object's name, else the target itself where it has the same name in every replay (a
  /// path), else its kind (`a pipe`).
  std::string about(const std::string &target) const;
  /// The lock that the stopped process must have taken to be there; empty: none that is known.
  std::string lock_in_hand(const tracing::Stop &stop) const;

private:
  struct Lock {
    std::string name, guards;
    std::uint64_t address = 0; // in the owner
  };
  bool is_taken(const Lock &lock) const;

  mutable std::mutex mutex_;
  pid_t owner_ = 0;
  std::map<std::string, std::string> names_; // by target
  std::vector<Lock> locks_;
};

} // namespace pidleak::replay
