// A document read as a stream: one report after the other, and never all of them.
#pragma once

#include "reports/content.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <functional>
#include <streambuf>
#include <string>

namespace pidleak::reports {

/// Content to be parsed, which knows how much of it has been taken.
class Source : public std::streambuf {
public:
  /// `content` must outlive it.
  explicit Source(const Content &content) : content_(content) {}

  std::size_t place() const { return before_ + static_cast<std::size_t>(gptr() - eback()); }

protected:
  int_type underflow() override; // throws what reading the content does

private:
  const Content &content_;
  std::size_t before_ = 0; // bytes before the piece that is read
};

/// What a document has, as it comes. Each may be left out.
struct DocumentReader {
  /// A member besides the list of reports, in the order of the document.
  std::function<void(const std::string &name, const nlohmann::ordered_json &value)> on_member;
  /// The list of reports begins; false: no more is to be read.
  std::function<bool()> on_reports;
  std::function<void(const nlohmann::ordered_json &report)> on_report;
};

/// Where the reports are in the bytes of a document, from behind the bracket of their list to behind the last of them.
struct ReportsPlace {
  std::size_t from = 0, to = 0;
};

/// Needs memory for the largest report alone. Throws std::invalid_argument that says what is wrong, with which of the
/// reports; and what a reader of its throws.
ReportsPlace read_document(Source &source, const DocumentReader &reader);

} // namespace pidleak::reports
