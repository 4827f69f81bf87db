// A document that is whole on disk after every report, and so can be gone on with after any end of its writer.
#pragma once

#include "harness/os/unique_fd.hpp"
#include "reports/document.hpp"
#include "reports/sweep.hpp"

#include <string>
#include <vector>

namespace pidleak::reports {

/// Owns the file. Written in place: readers of it meanwhile may see half a report at its end, and see_what_is_whole()
/// is for them.
class Journal {
public:
  /// A new document; what the file held is gone. Throws SyscallError.
  explicit Journal(const std::string &path, const DocumentHead &head = {});
  /// Goes on after the first `size` bytes, which see_what_is_whole() has found; of reports there are none in them.
  Journal(const std::string &path, std::size_t size, bool is_empty);

  /// Throws SyscallError (ENOSPC); the document is as it was before then.
  void add(const Report &report);
  void finish(const std::vector<Sweep> &sweeps);

private:
  void write(const std::string &elements, const std::string &end);

  std::string path_;
  os::UniqueFd file_;
  std::size_t size_ = 0; // up to the end of the last report
  bool is_empty_ = true;
};

/// What a journal holds, whatever became of its end.
struct WholeReports {
  DocumentHead head;
  std::vector<Report> reports;
  std::size_t size = 0; // of the file's beginning that has them
};
/// Throws std::invalid_argument if it is no document of this version.
WholeReports see_what_is_whole(const std::string &text);

} // namespace pidleak::reports
