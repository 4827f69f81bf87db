#include "reports/journal.hpp"

#include "harness/base/json.hpp"
#include "harness/os/syscall_error.hpp"
#include "reports/reading.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <stdexcept>
#include <string_view>

namespace pidleak::reports {

Journal::Journal(const std::string &path, const DocumentHead &head)
    : path_(path), file_(os::UniqueFd::adopt(::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666))) {
  if (!file_)
    os::throw_errno("open({})", path);
  write(document_head(head), document_tail(true));
}

Journal::Journal(const std::string &path, std::size_t size, bool is_empty)
    : path_(path), file_(os::UniqueFd::adopt(::open(path.c_str(), O_RDWR | O_CLOEXEC))), size_(size),
      is_empty_(is_empty) {
  if (!file_)
    os::throw_errno("open({})", path);
  write("", document_tail(is_empty_));
}

void Journal::add(const Report &report) {
  write(document_element(report, is_empty_), document_tail(false));
  is_empty_ = false;
}

void Journal::finish(const std::vector<Sweep> &sweeps) { write("", document_tail(is_empty_, sweeps)); }

/// One write(2): a process that is killed in it leaves all of it or, on a full disk or a slow one, a part.
void Journal::write(const std::string &elements, const std::string &end) {
  auto text = elements + end;
  std::size_t done = 0;
  while (done < text.size()) {
    auto got = ::pwrite(file_.get(), text.data() + done, text.size() - done, static_cast<off_t>(size_ + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0) {
      int error = errno;
      auto tail = document_tail(is_empty_);
      if (size_ > 0 && ::ftruncate(file_.get(), static_cast<off_t>(size_)) == 0)
        (void)!::pwrite(file_.get(), tail.data(), tail.size(), static_cast<off_t>(size_)); // else its end is cut
      throw os::SyscallError(error, fmt::format("write({})", path_));
    }
    done += static_cast<std::size_t>(got);
  }
  if (::ftruncate(file_.get(), static_cast<off_t>(size_ + text.size())) != 0)
    os::throw_errno("ftruncate({})", path_);
  size_ += elements.size();
}

WholeReports see_what_is_whole(const std::string &text) {
  if (!text.starts_with(document_head().substr(0, document_head().find(',') + 1)))
    throw std::invalid_argument("not the report of a sweep by this version of pidleak");
  HeadReader head;
  Content content(text);
  Source source(content);
  auto place = read_document(source, {.on_member = [&](const auto &name, const auto &value) { head.take(name, value); },
                                      .on_reports = [] { return false; },
                                      .on_report = nullptr});
  // An element ends at the only brace that is indented so.
  constexpr std::string_view end_of_element = "\n    }";
  WholeReports whole{.head = std::move(head.head), .reports = {}, .size = place.from};
  for (auto start = place.from;;) {
    auto end = text.find(end_of_element, start);
    if (end == std::string::npos)
      break;
    end += end_of_element.size();
    auto opening = text.find('{', start);
    if (text.find("\"sweeps\"", start) < opening)
      break; // the list has ended
    try {
      whole.reports.push_back(from_json(nlohmann::ordered_json::parse(text.substr(opening, end - opening))));
    } catch (const nlohmann::json::exception &) {
      break;
    }
    whole.size = start = end;
  }
  return whole;
}

} // namespace pidleak::reports
