// One spelling per enumerator, everywhere: the command line, the protocol, the reports, the docs.
//
// An enumerator's name is its spelling: '_' becomes '-', and a trailing '_' (default_) is dropped.
// Enumerations are made with BOOST_DEFINE_ENUM_CLASS, so that no table of strings can drift from them.
#pragma once

#include <boost/describe/enum.hpp>
#include <boost/describe/enumerators.hpp>
#include <boost/mp11/algorithm.hpp>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pidleak {

/// How the words of pidleak spell the enumerator called `name` in C++.
inline std::string spelling_of_name(std::string_view name) {
  std::string spelling;
  for (char c : name)
    spelling += c == '_' ? '-' : c;
  if (spelling.ends_with('-'))
    spelling.pop_back();
  return spelling;
}

/// The enumerator's spelling. A value that is no enumerator gives "?".
template <class E>
std::string spell(E value) {
  std::string spelling = "?";
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto d) {
    if (d.value == value)
      spelling = spelling_of_name(d.name);
  });
  return spelling;
}

/// Every spelling of E, in order of declaration: what a help text or an error message offers.
template <class E>
std::vector<std::string> spellings() {
  std::vector<std::string> all;
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>(
      [&](auto d) { all.push_back(spelling_of_name(d.name)); });
  return all;
}

/// The enumerator that `text` spells, or nothing.
template <class E>
std::optional<E> parse_spelling(std::string_view text) {
  std::optional<E> found;
  boost::mp11::mp_for_each<boost::describe::describe_enumerators<E>>([&](auto d) {
    if (spelling_of_name(d.name) == text)
      found = d.value;
  });
  return found;
}

} // namespace pidleak
