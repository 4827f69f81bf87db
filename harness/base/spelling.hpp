// One spelling per enumerator, everywhere: the command line, the protocol, the reports, the docs.
//
// An enumerator's name is its spelling: '_' becomes '-', and a trailing '_' (default_) is dropped.
// Enumerations are made with BOOST_DEFINE_ENUM_CLASS, so that no table of strings can drift from them.
#pragma once

#include <boost/describe/enum.hpp>
#include <boost/describe/enumerators.hpp>

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace pidleak {

/// How the words of pidleak spell the enumerator called `name` in C++.
std::string spelling_of_name(std::string_view name);

namespace spelling {

struct Enumerator {
  const char *name;
  long value;
};

template <template <class...> class List, class... D>
constexpr std::array<Enumerator, sizeof...(D)> as_table(List<D...>) {
  return {{{D::name, static_cast<long>(D::value)}...}};
}
template <class E>
constexpr auto table_of = as_table(boost::describe::describe_enumerators<E>());

std::string of(std::span<const Enumerator> table, long value);
std::vector<std::string> all(std::span<const Enumerator> table);
std::optional<long> find(std::span<const Enumerator> table, std::string_view text);

} // namespace spelling

/// The enumerator's spelling. A value that is no enumerator gives "?".
template <class E>
std::string spell(E value) {
  return spelling::of(spelling::table_of<E>, static_cast<long>(value));
}

/// Every spelling of E, in order of declaration: what a help text or an error message offers.
template <class E>
std::vector<std::string> spellings() {
  return spelling::all(spelling::table_of<E>);
}

/// Every enumerator of E, in order of declaration.
template <class E>
std::vector<E> all_of() {
  std::vector<E> all;
  all.reserve(std::size(spelling::table_of<E>));
  for (auto [name, value] : spelling::table_of<E>)
    all.push_back(static_cast<E>(value));
  return all;
}

/// The enumerator that `text` spells, or nothing.
template <class E>
std::optional<E> parse_spelling(std::string_view text) {
  auto value = spelling::find(spelling::table_of<E>, text);
  return value ? std::optional(static_cast<E>(*value)) : std::nullopt;
}

} // namespace pidleak
