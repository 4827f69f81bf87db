#include "harness/base/json.hpp"

#include <nlohmann/json.hpp>

namespace pidleak {

std::string text_of(const nlohmann::json &json, int indentation) {
  return json.dump(indentation, ' ', false, nlohmann::json::error_handler_t::replace);
}
std::string text_of(const nlohmann::ordered_json &json, int indentation) {
  return json.dump(indentation, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

} // namespace pidleak
