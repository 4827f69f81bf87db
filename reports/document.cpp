#include "reports/document.hpp"

#include "harness/base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <stdexcept>

namespace pidleak::reports {

using Json = nlohmann::ordered_json;

namespace {

std::string head() { return fmt::format("{{\n  \"schema_version\": {},\n  \"reports\": [", schema_version); }

/// As an element of the list, indented as the whole document is.
std::string element(const Report &report, bool is_first) {
  std::string text = is_first ? "\n    " : ",\n    ";
  for (char c : text_of(to_json(report), 2)) {
    text += c;
    if (c == '\n') // between members: those of strings are escaped
      text += "    ";
  }
  return text;
}

std::string tail(bool is_empty) { return is_empty ? "]\n}\n" : "\n  ]\n}\n"; }

} // namespace

std::string to_document(const std::vector<Report> &reports) {
  auto text = head();
  for (const auto &report : reports)
    text += element(report, &report == &reports.front());
  return text + tail(reports.empty());
}

void GrowingDocument::add(const Report &report) {
  spool_.append((is_empty_ ? head() : "") + element(report, is_empty_));
  is_empty_ = false;
}

Content GrowingDocument::finish() {
  spool_.append((is_empty_ ? head() : "") + tail(is_empty_));
  return spool_.content();
}

std::vector<Report> from_document(const std::string &text) {
  Json document;
  try {
    document = Json::parse(text);
  } catch (const Json::parse_error &e) {
    throw std::invalid_argument(fmt::format("not JSON from byte {} on", e.byte));
  } catch (const Json::out_of_range &) {
    throw std::invalid_argument("it has a number that is too large");
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
