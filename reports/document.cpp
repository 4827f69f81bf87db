// The file that `--report` writes, as a whole.
#include "harness/base/json.hpp"
#include "reports/report.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <stdexcept>

namespace pidleak::reports {

using Json = nlohmann::ordered_json;

std::string to_document(const std::vector<Report> &reports) {
  Json all = Json::array();
  for (const auto &report : reports)
    all.push_back(to_json(report));
  return text_of(Json{{"schema_version", schema_version}, {"reports", all}}, 2) + "\n";
}

std::vector<Report> from_document(const std::string &text) {
  Json document;
  try {
    document = Json::parse(text);
  } catch (const Json::parse_error &e) {
    throw std::invalid_argument(fmt::format("not JSON, as of byte {}", e.byte));
  }
  auto version = document.is_object() ? document.find("schema_version") : document.end();
  if (!document.is_object() || version == document.end() || !version->is_number_integer())
    throw std::invalid_argument("not a leak report: \"schema_version\" is missing");
  if (*version < 1 || *version > schema_version)
    throw std::invalid_argument(
        fmt::format("\"schema_version\" is {}, this program reads 1 to {}", text_of(*version), schema_version));
  auto list = document.find("reports");
  if (list == document.end() || !list->is_array())
    throw std::invalid_argument("not a leak report: it has no list \"reports\"");
  std::vector<Report> reports;
  for (const auto &entry : *list) {
    try {
      reports.push_back(from_json(entry));
    } catch (const std::invalid_argument &e) {
      throw std::invalid_argument(fmt::format("number {} of its reports: {}", reports.size() + 1, e.what()));
    }
  }
  return reports;
}

} // namespace pidleak::reports
