// The JSON leak report as a file: {"schema_version", "reports": [...]}, and of sweeps and of a soak what they
// came to.
#pragma once

#include "reports/content.hpp"
#include "reports/shard.hpp"
#include "reports/sweep.hpp"

namespace pidleak::reports {

/// The whole of it. Valid UTF-8 whatever the names hold.
std::string to_document(const std::vector<Report> &reports);

/// The same, of reports that come one by one and are not kept in memory.
class GrowingDocument {
public:
  explicit GrowingDocument(DocumentHead head = {}) : head_(std::move(head)) {}
  void add(const Report &report);
  /// No other is added then. This must outlive it.
  Content finish(const std::vector<Sweep> &sweeps = {});

private:
  DocumentHead head_;
  Spool spool_;
  bool is_empty_ = true;
};

/// Its parts, one after the other: the head, an element for each report, the tail.
std::string document_head(const DocumentHead &head = {});
std::string document_element(const Report &report, bool is_first);
std::string document_tail(bool is_empty, const std::vector<Sweep> &sweeps = {}, const std::string &soak_as_json = {});

/// Reads a document, and hands over one report after the other. Throws as from_document() does.
void for_each_report(const Content &document, const std::function<void(Report)> &on_report);

/// Reads it back, whatever of the versions up to schema_version it has. Throws std::invalid_argument that says what is
/// wrong, and with which of the reports.
std::vector<Report> from_document(const std::string &text);

} // namespace pidleak::reports
