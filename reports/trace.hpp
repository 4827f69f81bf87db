// Reports as a trace: who lived when, who was in which task, what happened. Opens in ui.perfetto.dev and in
// chrome://tracing.
//
// The format is the Trace Event Format (JSON object form). Every process of every replay has a track of its own under a
// number of its own, as replays number theirs alike; each replay also has a track, for the replay itself and for its
// shutdown. All replays begin at 0.
#pragma once

#include "reports/report.hpp"

namespace pidleak::reports {

/// Spans (X): a life, a zombie, a task, a shutdown; instants (i): everything else of the timeline. Of a task whose
/// end is not known, `end` in its args says what its span ends with.
std::string render_trace(const std::vector<Report> &reports);

} // namespace pidleak::reports
