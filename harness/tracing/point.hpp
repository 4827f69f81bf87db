// Where in its execution a process is when a fault comes: `worker:shut-down:read#2:entry`.
//
//   ROLE:STEP:CALL#K:entry|exit     the K-th call of that name that this thread makes in that step of the replay
//   ROLE:STEP:EVENT#K               fork (a child before its first instruction), exec, exit
//
// ROLE is worker, owner or helper, and of a command in place of a pool command or child: the first of them, or
// `worker#2`, in the order of their birth; and `owner/3` is its third thread. Indices over all calls are not stable
// from run to run: a point is named so, and proven at the stop.
#pragma once

#include <boost/describe/enum.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pidleak::tracing {

BOOST_DEFINE_ENUM_CLASS(Role, worker, owner, helper, // of a pool
                        command, child)              // of a command in place of one: its first process, those below it
BOOST_DEFINE_ENUM_CLASS(When, entry, exit)

/// What happens there: a call, or an event of the process.
struct Occurrence {
  std::string name;         // `read`, or `fork`, `exec`, `exit`
  int number = 1;           // from 1
  std::optional<When> when; // of a call; nothing: an event

  auto operator<=>(const Occurrence &) const = default;
};

/// Within a process: by which thread, in which step.
struct Place {
  int thread = 1; // in the order of their birth
  std::string step;
  Occurrence occurrence;

  auto operator<=>(const Place &) const = default;
};

/// A process, by its role in the replay.
struct Actor {
  Role role = Role::worker;
  int number = 1; // in the order of their birth

  auto operator<=>(const Actor &) const = default;
};
std::string to_text(const Actor &actor);
/// `worker`, `helper#2`; nothing if it is none.
std::optional<Actor> parse_actor(std::string_view text);

struct Point {
  Actor actor;
  Place place;

  auto operator<=>(const Point &) const = default;
};
std::string to_text(const Point &point);
/// Nothing if it is not a point. Whether there is such a step or call is for a recording to say.
std::optional<Point> parse_point(std::string_view text);

/// The birth of a process below the subject: {2, 1} is the first child of the subject's second; {} the subject. Pids
/// differ from replay to replay, births don't.
using Birth = std::vector<int>;

} // namespace pidleak::tracing
