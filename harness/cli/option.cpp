#include "harness/cli/command_line.hpp"

#include <algorithm>
#include <string_view>

namespace pidleak::cli {

std::vector<std::string> Option::names() const {
  std::vector<std::string> all;
  for (std::string_view rest = name; !rest.empty();) {
    auto each = rest.substr(0, rest.find(','));
    all.emplace(each.starts_with("--") ? all.begin() : all.end(), each);
    rest.remove_prefix(std::min(each.size() + 1, rest.size()));
  }
  return all;
}

} // namespace pidleak::cli
