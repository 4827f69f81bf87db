// Documents against reports/report.schema.json.
#pragma once

#include "harness/os/pipe.hpp"

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

namespace pidleak::testing {

inline const nlohmann::ordered_json &schema() {
  static const auto json =
      nlohmann::ordered_json::parse(os::read_file(PIDLEAK_SOURCE_DIR "/reports/report.schema.json"));
  return json;
}

/// What the schema finds wrong with a document. Empty: nothing.
inline std::string errors_in(const nlohmann::ordered_json &document) {
  static const auto compiled = [] {
    nlohmann::json plain = schema();
    auto result = std::make_unique<valijson::Schema>();
    valijson::SchemaParser(valijson::SchemaParser::kDraft7)
        .populateSchema(valijson::adapters::NlohmannJsonAdapter(plain), *result);
    return result;
  }();
  nlohmann::json plain = document;
  static valijson::Validator validator; // keeps its regular expressions
  valijson::ValidationResults results;
  if (validator.validate(*compiled, valijson::adapters::NlohmannJsonAdapter(plain), &results))
    return "";
  std::string text;
  for (const auto &error : results)
    text += fmt::format("{}: {}\n", fmt::join(error.context, ""), error.description);
  return text.empty() ? "unnamed" : text;
}

} // namespace pidleak::testing
