// The task that every worker of a replay runs, and the channel on which the driver holds it up.
//
// The channel is a directory of FIFOs, so that a worker of any pool in any language can take part, whichever way it
// was started: it appends a line to `events` and then reads its orders from its own `gate-...`. See
// harness/protocol/PROTOCOL.md.
#pragma once

#include <optional>
#include <string>

namespace pidleak::workers {

class Channel {
public:
  explicit Channel(std::string directory) : directory_(std::move(directory)) {}

  /// Tells the driver that this process has come to `point`, and does there what the gate says: `finish` returns,
  /// `allocate MIB` touches memory until the kernel kills this process. Returns the order.
  std::string hold(const std::string &point, const std::string &gate, std::optional<long long> task = {}) const;

  /// hold(), if the driver has chosen this process for `point`.
  void hold_if_chosen(const std::string &point) const;

private:
  std::string directory_;
};

/// Touches page after page. Returns only where nothing limits this process to less than `mebibytes`.
void allocate(std::size_t mebibytes);

/// Runs one task, given as {"task": N, "channel": DIRECTORY}. Its result has the size that the order `finish BYTES`
/// wants. Throws protocol::ProtocolError.
std::string run_task(const std::string &task);

/// The text of such a task.
std::string describe_task(long long number, const std::string &channel);

} // namespace pidleak::workers
