// An ablation, told: as a table with what is concluded from it, or as JSON.
#include "harness/replay/ablation_text.hpp"

#include "harness/base/json.hpp"
#include "reports/comparison.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace pidleak::replay {
namespace {

std::string outcome(const Trial &trial) { return reports::describe(reports::Tallies(trial.replays).all()); }

std::string why_unknown(const Trial &trial) {
  return trial.outcome() == Outcome::unknown && !trial.replays.empty()
             ? "  " + reports::printable(trial.replays.front().reason)
             : "";
}

std::string judge(const Trial &cured) {
  switch (cured.outcome()) {
  case Outcome::clean:
    return "breaks the chain";
  case Outcome::stays:
    return "does not help";
  case Outcome::sometimes:
    return "helps by chance only";
  case Outcome::unknown:
    break;
  }
  return "could not be tried";
}

} // namespace

std::string render_ablation(const Ablation &ablation) {
  auto text = ablation.title + "\n\n";
  std::vector<std::size_t> widths;
  for (const auto &link : ablation.links) {
    widths.push_back(link.name.size() + 2);
    text += fmt::format("  {:<{}}", link.name, widths.back() - 2);
  }
  text += "  OUTCOME\n";
  for (const auto &trial : ablation.trials) {
    for (std::size_t i = 0; i < widths.size(); ++i)
      text += fmt::format("  {:<{}}", trial.on >> i & 1 ? "on" : "-", widths[i] - 2);
    text += fmt::format("  {}{}\n", outcome(trial), why_unknown(trial));
  }
  text += "\n";
  for (const auto &line : conclude(ablation.links, ablation.trials))
    text += "  " + line + "\n";
  if (!ablation.cured.empty())
    text += "\n  Cures, on the whole chain\n";
  for (std::size_t i = 0; i < ablation.cured.size(); ++i)
    text += fmt::format("    {:<40} {:<20} ({}){}\n", ablation.cures[i].name, judge(ablation.cured[i]),
                        outcome(ablation.cured[i]), why_unknown(ablation.cured[i]));
  return text;
}

namespace {

nlohmann::ordered_json to_json(const Ablation &ablation) {
  nlohmann::ordered_json json = {{"title", reports::as_utf8(ablation.title)}};
  auto names = [&](LinkSet set) {
    auto list = nlohmann::ordered_json::array();
    for (std::size_t i = 0; i < ablation.links.size(); ++i)
      if (set >> i & 1)
        list.push_back(ablation.links[i].name);
    return list;
  };
  json["links"] = names(~0U);
  json["trials"] = nlohmann::ordered_json::array();
  for (const auto &trial : ablation.trials)
    json["trials"].push_back({{"on", names(trial.on)}, {"outcome", outcome(trial)}});
  json["minimal_sets"] = nlohmann::ordered_json::array();
  for (auto set : minimal_sets(ablation.trials))
    json["minimal_sets"].push_back(names(set));
  json["does_not_matter"] = names(links_that_do_not_matter(ablation.trials, ablation.links.size()));
  json["findings"] = conclude(ablation.links, ablation.trials);
  json["cures"] = nlohmann::ordered_json::array();
  for (std::size_t i = 0; i < ablation.cured.size(); ++i)
    json["cures"].push_back({{"cure", ablation.cures[i].name},
                             {"effect", judge(ablation.cured[i])},
                             {"outcome", outcome(ablation.cured[i])}});
  return json;
}

} // namespace

std::string ablations_as_json(const std::vector<Ablation> &ablations) {
  auto json = nlohmann::ordered_json::array();
  for (const auto &ablation : ablations)
    json.push_back(to_json(ablation));
  return text_of(nlohmann::ordered_json{{"schema_version", reports::schema_version}, {"ablations", json}}, 2) + "\n";
}

} // namespace pidleak::replay
