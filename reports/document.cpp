#include "reports/document.hpp"

#include "harness/base/json.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <stdexcept>

namespace pidleak::reports {

using Json = nlohmann::ordered_json;

std::string document_head() { return fmt::format("{{\n  \"schema_version\": {},\n  \"reports\": [", schema_version); }

/// Indented as the whole document is. Line breaks are between members: those of strings are escaped.
static std::string indented(const std::string &text, const std::string &indent) {
  std::string lines;
  for (char c : text) {
    lines += c;
    if (c == '\n')
      lines += indent;
  }
  return lines;
}

std::string document_element(const Report &report, bool is_first) {
  return fmt::format("{}\n    {}", is_first ? "" : ",", indented(text_of(to_json(report), 2), "    "));
}

std::string document_tail(bool is_empty, const std::vector<Sweep> &sweeps) {
  std::string end = is_empty ? "]" : "\n  ]";
  if (!sweeps.empty())
    end += ",\n  \"sweeps\": " + indented(text_of(sweeps_to_json(sweeps), 2), "  ");
  return end + "\n}\n";
}

std::string to_document(const std::vector<Report> &reports) {
  auto text = document_head();
  for (const auto &report : reports)
    text += document_element(report, &report == &reports.front());
  return text + document_tail(reports.empty());
}

void GrowingDocument::add(const Report &report) {
  spool_.append((is_empty_ ? document_head() : "") + document_element(report, is_empty_));
  is_empty_ = false;
}

Content GrowingDocument::finish(const std::vector<Sweep> &sweeps) {
  spool_.append((is_empty_ ? document_head() : "") + document_tail(is_empty_, sweeps));
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
