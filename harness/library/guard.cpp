// The C++ interface: a mark with options of its own.
#include "pidleak/guard.hpp"

#include "harness/library/mark.hpp"
#include "harness/os/procfs.hpp"

#include <stdexcept>

namespace pidleak {
namespace {

std::shared_ptr<const library::Settings> settings_of(const GuardOptions &options) {
  library::Settings settings{
      .grace = options.grace, .adopt_orphans = options.adopt_orphans, .strict = options.strict, .rules = {}};
  if (const auto &file = options.suppressions; !file.empty())
    settings.rules = reports::parse_suppressions(os::read_file(file), file);
  return std::make_shared<library::Settings>(std::move(settings));
}

void refuse_unless(bool is_of_this_process) {
  if (!is_of_this_process)
    throw std::logic_error("pidleak::Guard: it was made in the process that this one was forked from, or moved from");
}

} // namespace

class Guard::Impl : public library::Mark {
  using library::Mark::Mark;
};

Guard::Guard(GuardOptions options) : impl_(std::make_unique<Impl>(options.name, settings_of(options))) {}
Guard::Guard(Guard &&) noexcept = default;
Guard &Guard::operator=(Guard &&) noexcept = default;
Guard::~Guard() = default;

bool Guard::is_of_this_process() const noexcept { return impl_ && impl_->is_of_this_process(); }

Findings Guard::check() {
  refuse_unless(is_of_this_process());
  return impl_->check();
}

bool Guard::end_remaining(std::chrono::milliseconds ask_first) {
  refuse_unless(is_of_this_process());
  return impl_->end_remaining(ask_first);
}

} // namespace pidleak
