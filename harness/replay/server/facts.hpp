// What is told of a server beside its verdict: who left when, who still serves and holds the port.
//
// Each is evidence that nothing has to show. Asked for only after the census: a request makes some that would stay
// leave.
#pragma once

#include "harness/replay/server/running.hpp"
#include "reports/report.hpp"

namespace pidleak::replay {

/// What became of the disposition of SIGTERM that it was started with.
reports::Evidence show_sigterm_at_start(Sigterm at_start, const RunningServer &server);

/// Who of them is there before the busy request is released, `seconds` after what `since` names.
reports::Evidence show_held_up(const RunningServer &server, const census::Walk &walk, double seconds,
                               const std::string &since);

/// When each of those who were there left, since `since_ms` of the timeline: `3 after 14.9 s, 1 after 15.1 s`.
reports::Evidence show_leaving(const RunningServer &server, double since_ms, const std::string &since);

/// By what the workers noticed the death of their master, as far as when and how they left shows it: for one that was
/// killed while they were idle.
std::optional<reports::Evidence> show_notice(const RunningServer &server);

/// Who holds a listening socket, of those in the report.
std::optional<reports::Evidence> show_port(const reports::Report &report);

/// Who answers now, by requests: for after the census.
std::optional<reports::Evidence> show_serving(RunningServer &server, const std::string &path);

/// What became of the request that kept a worker busy.
reports::Evidence show_request(const Request &request);

} // namespace pidleak::replay
