// The C interface: marks behind handles, exceptions as codes.
#include "harness/library/fork_log.hpp"
#include "harness/library/mark.hpp"
#include "harness/os/syscall_error.hpp"
#include "pidleak.h"

#include <fmt/format.h>

#include <cstdlib>
#include <cstring>
#include <mutex>
#include <stdexcept>

using namespace pidleak;

struct pidleak_session {
  std::shared_ptr<const library::Settings> settings;
  std::unique_ptr<library::Adoption> adoption; // null: orphans are not adopted
  pid_t pid = ::getpid();
};

struct pidleak_mark {
  library::Mark mark;
  std::mutex mutex = {}; // one at a time
};

namespace {

/// Made in the process that this one was forked from.
struct Forked : std::logic_error {
  Forked() : std::logic_error("it was made in the process that this one was forked from") {}
};

char *copy_of(const std::string &text) {
  auto *copy = ::strdup(text.c_str());
  if (!copy)
    throw std::bad_alloc();
  return copy;
}

int fail(char **error, int code, const char *function, const char *why) {
  if (error)
    try {
      *error = copy_of(fmt::format("{}: {}", function, why));
    } catch (const std::bad_alloc &) {
      // the code has to do
    }
  return code;
}

/// What `body` throws, as a code and a text.
template <typename Body>
int call(char **error, const char *function, const Body &body) noexcept {
  if (error)
    *error = nullptr;
  try {
    return body();
  } catch (const std::bad_alloc &) {
    return fail(error, PIDLEAK_NO_MEMORY, function, "out of memory");
  } catch (const std::system_error &e) {
    auto code = e.code() == std::errc::not_supported ? PIDLEAK_UNSUPPORTED : PIDLEAK_SYSTEM;
    return fail(error, code, function, e.what());
  } catch (const Forked &e) {
    return fail(error, PIDLEAK_FORKED, function, e.what());
  } catch (const std::invalid_argument &e) {
    return fail(error, PIDLEAK_BAD_ARGUMENT, function, e.what());
  } catch (const std::exception &e) {
    return fail(error, PIDLEAK_INTERNAL, function, e.what());
  } catch (...) {
    return fail(error, PIDLEAK_INTERNAL, function, "an unknown exception");
  }
}

void want(bool holds, const char *why_not) {
  if (!holds)
    throw std::invalid_argument(why_not);
}

library::Settings settings_of(const pidleak_options &options) {
  want(options.size == sizeof options,
       "options.size is not that of struct pidleak_options: begin with PIDLEAK_OPTIONS");
  want(options.grace_ms >= 0, "options.grace_ms is negative");
  want(options.helpers || options.helper_count == 0, "options.helpers is NULL, and options.helper_count is not 0");
  library::Settings settings{.grace = milliseconds(options.grace_ms),
                             .adopt_orphans = options.adopt_orphans != 0,
                             .strict = options.strict != 0,
                             .reap = options.reap != 0};
  for (std::size_t i = 0; i < options.helper_count; ++i) {
    const auto &helper = options.helpers[i];
    want(helper.command_line && helper.role && *helper.role, "a helper has no command line, or no role");
    settings.helpers.push_back({helper.command_line, helper.role});
  }
  if (options.suppressions)
    settings.rules = reports::parse_suppressions(options.suppressions, "options.suppressions");
  return settings;
}

/// Of this process. Throws Forked, std::invalid_argument.
library::Mark &usable(pidleak_mark *mark) {
  want(mark, "mark is NULL");
  if (!mark->mark.is_of_this_process())
    throw Forked();
  return mark->mark;
}

} // namespace

const char *pidleak_version(void) { return PIDLEAK_VERSION; }

int pidleak_open(const pidleak_options *options, pidleak_session **session, char **error) {
  return call(error, "pidleak_open", [&] {
    want(session, "session is NULL");
    const pidleak_options defaults = PIDLEAK_OPTIONS;
    auto settings = std::make_shared<library::Settings>(settings_of(options ? *options : defaults));
    auto adoption = settings->adopt_orphans ? std::make_unique<library::Adoption>() : nullptr;
    *session = new pidleak_session{.settings = std::move(settings), .adoption = std::move(adoption)};
    return PIDLEAK_OK;
  });
}

void pidleak_close(pidleak_session *session) { delete session; }

int pidleak_set_mark(pidleak_session *session, const char *name, pidleak_mark **mark, char **error) {
  return call(error, "pidleak_set_mark", [&] {
    want(session, "session is NULL");
    want(mark, "mark is NULL");
    if (session->pid != ::getpid())
      throw Forked();
    *mark = new pidleak_mark{.mark = {name ? name : "", session->settings}};
    return PIDLEAK_OK;
  });
}

void pidleak_drop_mark(pidleak_mark *mark) { delete mark; }

int pidleak_keep(pidleak_mark *mark, pid_t pid, char **error) {
  return call(error, "pidleak_keep", [&] {
    auto &usable_mark = usable(mark);
    want(pid >= 0, "that is no pid");
    std::lock_guard lock(mark->mutex);
    if (pid == 0)
      usable_mark.keep();
    else
      usable_mark.keep(pid);
    return PIDLEAK_OK;
  });
}

int pidleak_note_child(pid_t pid, char **error) {
  return call(error, "pidleak_note_child", [&] {
    want(pid > 0, "that is no pid");
    library::note_child(pid);
    return PIDLEAK_OK;
  });
}

int pidleak_check(pidleak_mark *mark, int *verdict, char **json, char **text, char **error) {
  return call(error, "pidleak_check", [&] {
    auto &usable_mark = usable(mark);
    std::lock_guard lock(mark->mutex);
    auto findings = usable_mark.check();
    using Text = std::unique_ptr<char, decltype(&std::free)>;
    Text json_copy(json ? copy_of(findings.json) : nullptr, &std::free);
    if (text)
      *text = copy_of(findings.text);
    if (json)
      *json = json_copy.release();
    if (verdict)
      *verdict = !findings.clean() ? PIDLEAK_LEAKED : findings.doubtful() ? PIDLEAK_DOUBTFUL : PIDLEAK_CLEAN;
    return PIDLEAK_OK;
  });
}

int pidleak_end(pidleak_mark *mark, int grace_ms, char **error) {
  return call(error, "pidleak_end", [&] {
    want(grace_ms >= 0, "grace_ms is negative");
    auto &usable_mark = usable(mark);
    std::lock_guard lock(mark->mutex);
    if (!usable_mark.end_remaining(milliseconds(grace_ms)))
      return fail(error, PIDLEAK_STILL_THERE, "pidleak_end", "at least one process is still there");
    return static_cast<int>(PIDLEAK_OK);
  });
}

void pidleak_free(char *text) { std::free(text); }
