// The text of JSON values. Written in one place: each file that calls dump() compiles the whole serializer.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace pidleak {

/// On one line, or with that indentation. Bytes that are not UTF-8 become U+FFFD.
std::string text_of(const nlohmann::json &json, int indentation = -1);
std::string text_of(const nlohmann::ordered_json &json, int indentation = -1);

} // namespace pidleak
