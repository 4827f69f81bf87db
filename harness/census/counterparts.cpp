#include "harness/census/counterparts.hpp"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>

namespace pidleak::census {
namespace {

namespace fs = std::filesystem;

/// Who has a file, pipe or socket open, by what its descriptor links to.
class OpenFiles {
public:
  OpenFiles() {
    std::error_code none;
    for (const auto &entry : fs::directory_iterator("/proc", none)) {
      auto name = entry.path().filename().string();
      pid_t pid = 0;
      if (auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), pid);
          error != std::errc() || end != name.data() + name.size() || pid == ::getpid())
        continue;
      for (fs::directory_iterator fd(entry.path() / "fd", none), last; !none && fd != last; fd.increment(none))
        holders_[fs::read_symlink(*fd, none).string()].insert(pid);
      none.clear(); // it has gone, or may not be looked at
    }
  }

  const std::set<pid_t> &holders_of(const std::string &target) const {
    static const std::set<pid_t> none;
    auto found = holders_.find(target);
    return found == holders_.end() ? none : found->second;
  }

private:
  std::map<std::string, std::set<pid_t>> holders_;
};

/// What its counterpart has open; empty: it waits for nothing of this kind.
std::string wanted_by(const ThreadWait &wait) {
  switch (wait.wait) {
  case Wait::to_read:
  case Wait::to_write:
    return !wait.peer.empty() ? wait.peer : wait.object.starts_with("pipe:[") ? wait.object : "";
  case Wait::for_file_lock:
    return path_of_lock(wait.object);
  default:
    return "";
  }
}

/// Whether it could end that wait: an open descriptor alone is not enough.
bool can_end(const RemainingProcess &process, const ThreadWait &wait) {
  switch (wait.wait) {
  case Wait::for_file_lock: {
    const auto &locks = process.attributes->locks;
    return std::find(locks.begin(), locks.end(), wait.object) != locks.end();
  }
  case Wait::to_read:
  case Wait::to_write:
    return !wait.object.starts_with("pipe:[") ||
           std::any_of(process.pipes.begin(), process.pipes.end(), [&](const OpenPipe &open) {
             return open.target == wait.object && (wait.wait == Wait::to_read ? open.writes : open.reads);
           });
  default:
    return false;
  }
}

} // namespace

std::vector<RemainingProcess> find_counterparts(const std::vector<RemainingProcess> &waiting) {
  std::optional<OpenFiles> files; // read once there is something to look for
  std::set<pid_t> seen;
  std::vector<RemainingProcess> all = waiting;
  for (const auto &process : waiting)
    seen.insert(process.pid);
  for (std::size_t next = 0; next < all.size(); ++next)
    for (const auto &wait : std::vector<ThreadWait>(all[next].waits)) { // `all` grows
      auto wanted = wanted_by(wait);
      if (wanted.empty())
        continue;
      if (!files)
        files.emplace();
      for (pid_t holder : files->holders_of(wanted)) {
        if (seen.contains(holder))
          continue;
        auto stat = os::read_stat(holder);
        auto process = stat ? examine({.pid = holder, .parent = stat->parent, .start_ticks = stat->start_ticks},
                                      {.subject = holder, .session = stat->session})
                            : std::nullopt;
        if (!process || !can_end(*process, wait))
          continue;
        seen.insert(holder);
        all.push_back(std::move(*process));
      }
    }
  all.erase(all.begin(), all.begin() + static_cast<std::ptrdiff_t>(waiting.size()));
  return all;
}

} // namespace pidleak::census
