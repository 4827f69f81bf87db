#include "harness/cli/plain_arguments.hpp"

#include <algorithm>
#include <charconv>
#include <set>

namespace pidleak::cli {
namespace {

const Option *find(const std::vector<Option> &options, const std::string &name) {
  auto found = std::find_if(options.begin(), options.end(), [&](const Option &option) {
    auto names = option.names();
    return std::find(names.begin(), names.end(), name) != names.end();
  });
  return found == options.end() ? nullptr : &*found;
}

template <class Number>
std::optional<Number> number_of(const std::string &text, const Option &option) {
  Number number{};
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  bool is_plain = error == std::errc() && end == text.data() + text.size() && !text.empty();
  // A number in words, such as inf, is left to the other as well.
  is_plain =
      is_plain && std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || c == '.'; });
  if (!is_plain || (option.range && (number < option.range->first || number > option.range->second)))
    return {};
  return number;
}

/// False: it is not for this one to say what is wrong.
bool set(const Option &option, const std::string &value) {
  if (option.only_words && std::find(option.words.begin(), option.words.end(), value) == option.words.end())
    return false;
  if (const auto *into = std::get_if<int *>(&option.into)) {
    auto number = number_of<int>(value, option);
    **into = number.value_or(0);
    return number.has_value();
  }
  if (const auto *into = std::get_if<double *>(&option.into)) {
    auto number = number_of<double>(value, option);
    **into = number.value_or(0);
    return number.has_value();
  }
  if (value.empty() || value.starts_with('-') || value.starts_with('['))
    return false;
  if (const auto *into = std::get_if<std::string *>(&option.into))
    **into = value;
  else if (const auto *call = std::get_if<std::function<void(const std::string &)>>(&option.into))
    (*call)(value);
  else
    return false;
  return true;
}

} // namespace

bool take_plain(const std::vector<Option> &options, const std::vector<std::string> &arguments,
                std::vector<std::string> &command) {
  std::set<const Option *> given;
  for (std::size_t at = 1; at < arguments.size(); ++at) {
    const auto &word = arguments[at];
    if (word == "--") {
      command.assign(arguments.begin() + static_cast<std::ptrdiff_t>(at) + 1, arguments.end());
      return !command.empty();
    }
    auto equals = word.starts_with("--") ? word.find('=') : word.npos;
    const auto *option = word.starts_with('-') ? find(options, word.substr(0, equals)) : nullptr;
    bool has_value = equals != word.npos || at + 1 < arguments.size();
    if (!option || !has_value || !given.insert(option).second ||
        !set(*option, equals == word.npos ? arguments[++at] : word.substr(equals + 1)))
      return false;
  }
  return false;
}

} // namespace pidleak::cli
