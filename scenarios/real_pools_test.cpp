// The real pools of this machine under every scenario. What they do wrong today is recorded in real_pools.json: a pool
// that does otherwise, for better or worse, fails here and is to be recorded anew.
#include "harness/cli/pools.hpp"
#include "harness/os/pipe.hpp"
#include "harness/replay/run.hpp"
#include "scenarios/cases.hpp"
#include "scenarios/scenarios.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using namespace pidleak;
using nlohmann::json;

const json &records() {
  static const json all = json::parse(os::read_file(std::string(PIDLEAK_SOURCE_DIR) + "/scenarios/real_pools.json"));
  return all;
}

/// `3.12.1` -> {3, 12, 1}
std::vector<int> numbers_of(const std::string &version) {
  std::vector<int> numbers;
  for (std::size_t at = 0; at < version.size(); at = std::min(version.find('.', at), version.size() - 1) + 1)
    numbers.push_back(std::atoi(version.c_str() + at));
  return numbers;
}

/// The record that holds for this version of the pool, if there is one.
const json *record_of(const std::string &pool, const std::string &version) {
  const json *found = nullptr;
  for (const auto &record : records().at("recorded")) // oldest first
    if (record.at("pool") == pool && numbers_of(record.at("from")) <= numbers_of(version))
      found = &record;
  return found;
}

/// What is wrong there according to the record; nothing: it ends clean.
const json *find_wrong(const json *record, const std::string &scenario, const std::string &start_method) {
  if (record)
    for (const auto &wrong : record->at("wrong"))
      for (const auto &method : wrong.at("start_methods"))
        if (wrong.at("scenario") == scenario && method == start_method)
          return &wrong;
  return nullptr;
}

void check(const std::string &pool, const replay::Plan &plan) {
  auto report = replay::run(plan);
  if (report.verdict == reports::Verdict::skipped)
    SKIP(report.reason);
  const auto *record = record_of(pool, report.pool_version);
  if (!record)
    SKIP("nothing is recorded of " << pool << " " << report.pool_version);
  INFO("this is " << pool << " " << report.pool_version << "; recorded in real_pools.json of "
                  << record->at("measured_on") << " on " << records().at("measured").at("date"));
  for (const auto &event : report.timeline)
    CHECK(event.event != "mistake");
  const auto *wrong = find_wrong(record, plan.scenario.name, spell(plan.scenario.conditions.start_method));
  bool lucky = wrong && wrong->value("sometimes", false) && report.verdict == reports::Verdict::clean;
  if (!wrong || lucky)
    return cases::check(report, reports::Verdict::clean, {{0, 0}});
  INFO("recorded reason: " << wrong->at("reason").get<std::string>());
  cases::check(report, parse_spelling<reports::Verdict>(wrong->at("verdict").get<std::string>()).value(),
               wrong->at("counts"));
}

/// Where it is the owner's end that matters, one tells as much as three.
json start_methods_under(const replay::Scenario &scenario, const json &all) {
  const auto &first_alone = records().at("with_the_first_start_method");
  bool is_one = std::find(first_alone.begin(), first_alone.end(), scenario.name) != first_alone.end();
  return is_one ? json{all.at(0)} : all;
}

void add_pool(const std::string &pool, const std::string &version, const json &start_methods) {
  auto word = version.empty() ? pool : fmt::format("{}:{}", pool, version);
  for (const auto *scenario : scenarios::all()) {
    if (!scenario->is_for(replay::SubjectKind::pool))
      continue;
    for (const auto &start_method : start_methods_under(*scenario, start_methods)) {
      auto method = parse_spelling<StartMethod>(start_method.get<std::string>()).value();
      replay::Plan plan{.scenario = *scenario, .pool = {}};
      plan.scenario.conditions.start_method = method;
      if (!version.empty() && find_wrong(record_of(pool, version), scenario->name, spell(method)))
        plan.settle_bound = std::chrono::seconds(2); // too short a time could only call more leaked
      cases::add(fmt::format("{}: {} with {} is as recorded", word, scenario->name, spell(method)),
                 {word == "python" ? "real-pool" : "further-pool", pool, scenario->name, spell(method)}, [=] {
                   auto chosen = plan;
                   chosen.pool = cli::choose_pools({word}).front(); // not before: it may have to ask many programs
                   check(pool, chosen);
                 });
    }
  }
}

const bool real_pools_added = [] {
  for (const auto &tested : records().at("tested"))
    for (const auto &version : tested.at("versions"))
      add_pool(tested.at("pool"), version, tested.at("start_methods"));
  return true;
}();

} // namespace
