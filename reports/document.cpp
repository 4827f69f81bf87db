#include "reports/document.hpp"

#include "harness/base/json.hpp"
#include "reports/reading.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <stdexcept>

namespace pidleak::reports {

using Json = nlohmann::ordered_json;

/// The heads of shards are a line each: thousands of them stand before the reports.
std::string document_head(const DocumentHead &head) {
  auto text = fmt::format("{{\n  \"schema_version\": {},\n", schema_version);
  if (head.shard)
    text += fmt::format("  \"shard\": {},\n", text_of(to_json(*head.shard)));
  if (!head.merged.empty()) {
    text += "  \"shards\": [";
    for (const auto &one : head.merged)
      text += fmt::format("{}\n    {}", &one == &head.merged.front() ? "" : ",", text_of(to_json(one)));
    text += "\n  ],\n";
  }
  return text + "  \"reports\": [";
}

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

std::string document_tail(bool is_empty, const std::vector<Sweep> &sweeps, const std::string &soak_as_json) {
  std::string end = is_empty ? "]" : "\n  ]";
  if (!sweeps.empty())
    end += ",\n  \"sweeps\": " + indented(text_of(sweeps_to_json(sweeps), 2), "  ");
  if (!soak_as_json.empty())
    end += ",\n  \"soak\": " + indented(soak_as_json, "  ");
  return end + "\n}\n";
}

std::string to_document(const std::vector<Report> &reports) {
  auto text = document_head();
  for (const auto &report : reports)
    text += document_element(report, &report == &reports.front());
  return text + document_tail(reports.empty());
}

void GrowingDocument::add(const Report &report) {
  spool_.append((is_empty_ ? document_head(head_) : "") + document_element(report, is_empty_));
  is_empty_ = false;
}

Content GrowingDocument::finish(const std::vector<Sweep> &sweeps) {
  spool_.append((is_empty_ ? document_head(head_) : "") + document_tail(is_empty_, sweeps));
  return spool_.content();
}

void for_each_report(const Content &document, const std::function<void(Report)> &on_report) {
  HeadReader head;
  Source source(document);
  read_document(source, {.on_member = [&](const std::string &name, const Json &value) { head.take(name, value); },
                         .on_reports = nullptr,
                         .on_report =
                             [&](const Json &entry) {
                               auto report = from_json(entry);
                               head.label(report);
                               on_report(std::move(report));
                             }});
}

std::vector<Report> from_document(const std::string &text) {
  std::vector<Report> reports;
  for_each_report(text, [&](Report report) { reports.push_back(std::move(report)); });
  return reports;
}

} // namespace pidleak::reports
