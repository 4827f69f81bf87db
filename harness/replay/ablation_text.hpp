// What an ablation found, for a reader and for a program.
#pragma once

#include "harness/replay/ablation.hpp"

#include <string>
#include <vector>

namespace pidleak::replay {

/// Everything that was tried on one pool under one start method.
struct Ablation {
  std::string title;
  std::vector<Link> links;
  std::vector<Trial> trials; // every combination
  std::vector<Cure> cures;
  std::vector<Trial> cured; // the whole scenario with each of them
};

/// The table of combinations, what is concluded from them, and the cures.
std::string render_ablation(const Ablation &ablation);
/// One document for all of them.
std::string ablations_as_json(const std::vector<Ablation> &ablations);

} // namespace pidleak::replay
