#include "harness/base/suggestion.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>
#include <utility>

namespace pidleak {
namespace {

/// Levenshtein's distance.
std::size_t edit_distance(const std::string &a, const std::string &b) {
  std::vector<std::size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0U);
  for (std::size_t i = 0; i < a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i + 1);
    for (std::size_t j = 0; j < b.size(); ++j)
      diagonal = std::exchange(row[j + 1], std::min({row[j + 1] + 1, row[j] + 1, diagonal + (a[i] != b[j])}));
  }
  return row.back();
}

} // namespace

const std::string *nearest_of(const std::string &word, const std::vector<std::string> &known) {
  auto nearest = std::min_element(known.begin(), known.end(), [&](const auto &a, const auto &b) {
    return edit_distance(word, a) < edit_distance(word, b);
  });
  bool is_close =
      nearest != known.end() && edit_distance(word, *nearest) <= std::max<std::size_t>(2, nearest->size() / 3);
  return is_close ? &*nearest : nullptr;
}

std::string suggestion(const std::string &word, const std::vector<std::string> &known) {
  if (const auto *nearest = nearest_of(word, known))
    return fmt::format("; did you mean \"{}\"?", *nearest);
  return fmt::format("; there are: {}", fmt::join(known, ", "));
}

} // namespace pidleak
