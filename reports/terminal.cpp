// The table of verdicts.
#include "reports/terminal.hpp"

#include "reports/comparison.hpp"
#include "reports/layout.hpp"

#include <algorithm>

namespace pidleak::reports {
namespace {

std::string row_by_row(const Tallies &tallies, const TerminalOptions &options) {
  auto rows = layout::align(layout::table_of(tallies, options.deviation), {4, 5, 6, 7});
  std::string text;
  for (std::size_t r = 0; r < rows.size(); ++r) {
    if (r > 0)
      rows[r][3] = layout::coloured(worst_of(tallies.all()[r - 1]), rows[r][3], options);
    text += layout::join(rows[r]) + "\n";
  }
  return text;
}

} // namespace

std::string render_table(const Tallies &tallies, const TerminalOptions &options) {
  if (options.verbose || !layout::differing_labels(tallies).empty())
    return row_by_row(tallies, options);
  auto comparison = compare(tallies);
  auto cells = comparison.pools.size() * comparison.rows.size();
  bool is_matrix = comparison.pools.size() > 1 && comparison.rows.size() > 1 && tallies.all().size() * 2 >= cells;
  if (!is_matrix)
    return row_by_row(tallies, options);
  if (render_comparison(comparison).find('\n') > layout::widest)
    return row_by_row(tallies, options);
  return render_comparison(comparison, {.colour = options.colour, .deviation = options.deviation});
}

} // namespace pidleak::reports
