// What every rendering of a sweep says in the same words.
#pragma once

#include "reports/layout.hpp"
#include "reports/sweep.hpp"

namespace pidleak::reports {

std::string title_of(const Sweep &sweep);
/// `coverage 98.6 %: 903 points recorded; of 40 faults at points 39 reached, 1 not`
std::string coverage_line(const Sweep &sweep);
/// In how many of the replays that came to its points: `8 of 15`.
std::string how_often(const Sweep &sweep, const SweepClass &one);
/// `kill of the worker in write of the result queue's pipe`
std::string what_happened(const SweepClass &one);
/// A row a class, with a row of titles above.
std::vector<layout::Row> table_of(const Sweep &sweep);

} // namespace pidleak::reports
