// How the members of a report's JSON are written and read: with errors that name the member, for bytes that others
// have written.
#pragma once

#include "harness/base/spelling.hpp"
#include "reports/report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <limits>
#include <stdexcept>
#include <type_traits>
#include <utility>

namespace pidleak::reports {

using Json = nlohmann::ordered_json;

template <class T>
Json or_null(const std::optional<T> &value) {
  return value ? Json(*value) : Json(nullptr);
}

inline Json texts(const std::vector<std::string> &all) {
  Json array = Json::array();
  for (const auto &text : all)
    array.push_back(as_utf8(text));
  return array;
}

inline Json texts(const std::map<std::string, std::string> &all) {
  Json object = Json::object();
  for (const auto &[name, text] : all)
    object[as_utf8(name)] = as_utf8(text);
  return object;
}

// What follows reads, and throws std::invalid_argument.

inline const Json &member(const Json &object, const char *name) {
  auto found = object.is_object() ? object.find(name) : object.end();
  if (!object.is_object() || found == object.end())
    throw std::invalid_argument(fmt::format("report: \"{}\" is missing", name));
  return *found;
}

[[noreturn]] inline void wrong_type(const char *name) {
  throw std::invalid_argument(fmt::format("report: \"{}\" has the wrong type", name));
}

/// The JSON library takes `true` for an int, and cuts numbers that don't fit.
template <class T>
bool holds(const Json &value) {
  if constexpr (std::is_same_v<T, bool>)
    return value.is_boolean();
  else if constexpr (std::is_integral_v<T>)
    return value.is_number_unsigned() ? std::in_range<T>(value.get<std::uint64_t>())
                                      : value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  else
    return true; // get() throws for every other
}

template <class T>
T read(const Json &object, const char *name) {
  const auto &value = member(object, name);
  if (!holds<T>(value))
    wrong_type(name);
  try {
    return value.get<T>();
  } catch (const nlohmann::json::exception &) {
    wrong_type(name);
  }
}

template <class T>
T in_range(T value, const char *name, T least, T most) {
  if (!(value >= least && value <= most))
    throw std::invalid_argument(fmt::format("report: \"{}\" is out of range", name));
  return value;
}

/// Nothing that a report counts or measures is less than `least`; the schema has the same bounds.
template <class T>
T read_number(const Json &object, const char *name, T least = 0, T most = std::numeric_limits<T>::max()) {
  return in_range(read<T>(object, name), name, least, most);
}

constexpr pid_t largest_pid = 4194304; // PID_MAX_LIMIT of a 64-bit kernel

inline double read_duration(const Json &object, const char *name) { return read_number<double>(object, name); }

inline int read_count(const Json &object, const char *name) { return read_number<int>(object, name); }

inline pid_t read_pid(const Json &object, const char *name) { return read_number<pid_t>(object, name, 1, largest_pid); }

inline std::vector<pid_t> read_pids(const Json &object, const char *name) {
  const auto &value = member(object, name);
  if (!value.is_array())
    wrong_type(name);
  std::vector<pid_t> pids;
  for (const auto &pid : value) {
    if (!holds<pid_t>(pid))
      wrong_type(name);
    pids.push_back(in_range(pid.get<pid_t>(), name, 1, largest_pid));
  }
  return pids;
}

template <class Read>
auto read_or_null(const Json &object, const char *name, Read read) -> std::optional<decltype(read(object, name))> {
  if (member(object, name).is_null())
    return {};
  return read(object, name);
}

/// An array of objects.
inline const Json &list(const Json &object, const char *name) {
  const auto &value = member(object, name);
  if (!value.is_array())
    wrong_type(name);
  for (const auto &entry : value)
    if (!entry.is_object())
      wrong_type(name);
  return value;
}

inline const Json &object_in(const Json &object, const char *name) {
  const auto &value = member(object, name);
  if (!value.is_object())
    wrong_type(name);
  return value;
}

template <class E>
E read_word(const Json &object, const char *name) {
  auto word = read<std::string>(object, name);
  if (auto value = parse_spelling<E>(word))
    return *value;
  throw std::invalid_argument(
      fmt::format("report: \"{}\" is \"{}\", which is not known", name, printable(word.substr(0, 80))));
}

} // namespace pidleak::reports
