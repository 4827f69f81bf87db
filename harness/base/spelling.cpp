#include "harness/base/spelling.hpp"

namespace pidleak {

std::string spelling_of_name(std::string_view name) {
  std::string spelling;
  for (char c : name)
    spelling += c == '_' ? '-' : c;
  if (spelling.ends_with('-'))
    spelling.pop_back();
  return spelling;
}

namespace spelling {

std::string of(std::span<const Enumerator> table, long value) {
  for (const auto &enumerator : table)
    if (enumerator.value == value)
      return spelling_of_name(enumerator.name);
  return "?";
}

std::vector<std::string> all(std::span<const Enumerator> table) {
  std::vector<std::string> spellings;
  for (const auto &enumerator : table)
    spellings.push_back(spelling_of_name(enumerator.name));
  return spellings;
}

std::optional<long> find(std::span<const Enumerator> table, std::string_view text) {
  for (const auto &enumerator : table)
    if (spelling_of_name(enumerator.name) == text)
      return enumerator.value;
  return {};
}

} // namespace spelling
} // namespace pidleak
