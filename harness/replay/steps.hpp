// Takes the steps of a replay with a subject that has been started, and judges what came of them.
//
//   steps ──▶ occupied workers ──▶ injected fault ──▶ final census ──▶ verdict
//     └──────────── all of them by the conversation ──────────┘
//
// A new step is a function in steps.cpp, and a case in take().
#pragma once

#include "harness/replay/conversation.hpp"
#include "harness/replay/sandbox.hpp"
#include "harness/replay/verdict.hpp"

namespace pidleak::replay {

/// Writes the evidence and the census to the report. Throws Judged where the verdict is known before the end, and what
/// the conversation throws.
Judged take_steps(const Plan &plan, const Inside &inside, Conversation &conversation, reports::Report &report);

/// How many tasks it submits, and so how many gates the channel must have.
int all_tasks(const Scenario &scenario);

} // namespace pidleak::replay
