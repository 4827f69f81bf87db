// A process that remains, or that accumulates, in words: what every rendering says of it. Everything is printable.
#pragma once

#include "reports/layout.hpp"

#include <set>

namespace pidleak::reports {

/// `pid 3`, `host pid 9003`, kind, name, `SIGTERM handler`, `waits in futex`; what is not known is empty.
layout::Row row_of(const census::RemainingProcess &process);

/// `sigterm-caught: a handler ran, and returned`.
std::string cause_of(const census::Finding &finding);

/// A line for each process that was there when a command's time was over, and for each that remains, followed by lines
/// that say why it is there and what lets it remain; then those that were adopted and have ended. Each after `indent`.
std::string remaining_lines(const Report &report, const std::string &indent);

/// The same of any processes, each behind `title`, or in short behind the root that it waits for; those alike together.
/// `elsewhere` are told under another title.
std::string process_lines(const std::string &title, const std::vector<census::RemainingProcess> &processes,
                          const std::string &indent, const std::set<pid_t> &elsewhere = {});

/// `python3, started by pid 2 (gunicorn), accumulate: from 3 to 9 (1 zombie) in 8.5 min, 42 an hour; 1 of 10 has
/// exited`.
std::string sentence_of(const census::GrowingGroup &group);

/// `170 samples in 170 s: nothing accumulates; 12 processes in the last one (3 zombies)`, of growth without groups; of
/// too few samples, that growth can't show.
std::string sentence_of(const census::Growth &growth);

/// That of each group, followed by lines about the oldest, as of a remaining process.
std::string growth_lines(const std::vector<census::GrowingGroup> &groups, const std::string &indent);

/// A line for each rule that let a process remain, or does no more.
std::string suppression_lines(const Report &report, const std::string &indent);

} // namespace pidleak::reports
