// Test cases that are made from data: one Catch2 case, and so one ctest case, for each row.
#pragma once

#include "harness/os/launch.hpp"
#include "harness/replay/scenario.hpp"
#include "scenarios/scenarios.hpp"

#include <catch2/catch_test_macros.hpp>
#include <catch2/interfaces/catch_interfaces_testcase.hpp>
#include <catch2/internal/catch_test_registry.hpp>

#include <functional>
#include <utility>

namespace pidleak::cases {

class Case final : public Catch::ITestInvoker {
public:
  explicit Case(std::function<void()> body) : body_(std::move(body)) {}
  void invoke() const override { body_(); }

private:
  std::function<void()> body_;
};

/// Registers a case. Call while static objects are initialised, as TEST_CASE does.
inline void add(const std::string &name, const std::vector<std::string> &tags, std::function<void()> body) {
  std::string all;
  for (const auto &tag : tags)
    all += "[" + tag + "]";
  // The registry keeps views only: these live as long as the program.
  static std::vector<std::unique_ptr<std::string>> texts;
  auto keep = [](const std::string &text) -> const std::string & {
    return *texts.emplace_back(std::make_unique<std::string>(text));
  };
  Catch::AutoReg(Catch::Detail::make_unique<Case>(std::move(body)), CATCH_INTERNAL_LINEINFO, Catch::StringRef(),
                 Catch::NameAndTags{keep(name), keep(all)});
}

/// A preset of the minimal pool.
inline replay::PoolChoice preset(const std::string &name) {
  return {.name = name, .program = std::string(PIDLEAK_BINARY_DIR) + "/pidleak-subject", .preset = name};
}

inline const replay::Scenario &scenario(const std::string &name) { return *scenarios::find(name); }

/// The replay of a scenario on one of them.
inline replay::Plan plan(const replay::Scenario &scenario, const std::string &preset_name, StartMethod method) {
  replay::Plan plan{.scenario = scenario, .pool = preset(preset_name)};
  plan.scenario.conditions.start_method = method;
  return plan;
}

/// `counts`: the pairs of live and zombie workers that are right.
inline void check(const reports::Report &report, reports::Verdict verdict,
                  const std::vector<std::pair<int, int>> &counts) {
  if (report.verdict == reports::Verdict::skipped)
    SKIP(report.reason);
  INFO(report.reason << "\nlive " << report.live << ", zombies " << report.zombies);
  CHECK(spell(report.verdict) == spell(verdict));
  CHECK(std::find(counts.begin(), counts.end(), std::pair(report.live, report.zombies)) != counts.end());
  CHECK(report.census_complete);
  CHECK(report.cgroup_agrees.value_or(true));
}

} // namespace pidleak::cases
