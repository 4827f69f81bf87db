// Signal names and dispositions.
#pragma once

#include <optional>
#include <string>

namespace pidleak::os {

/// `SIGTERM`, or `signal 40` for those without a name.
std::string signal_name(int signal);

/// `TERM`, `SIGTERM`, `15`; nothing: no signal's name or number.
std::optional<int> signal_of(const std::string &text);

/// Every signal back to SIG_DFL, and none blocked: what a child does that must not act on its parent's handlers.
/// Async-signal-safe. KILL and STOP can't be set and are passed over, as are the two that glibc keeps.
void reset_all_signals();

/// sigaction(2) of SIGTERM: caught by a handler that returns at once (system calls restart).
void catch_sigterm();
void ignore_sigterm();
/// In the mask of the calling thread, which threads and children made from then on inherit.
void block_sigterm();
void unblock_sigterm();

/// So that a write to a pipe without reader is EPIPE. An ignored signal survives exec: children must reset it.
void ignore_sigpipe();

} // namespace pidleak::os
