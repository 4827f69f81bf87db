#include "harness/os/accounts.hpp"

#include <pwd.h>

#include <cstdio>
#include <functional>
#include <memory>

namespace pidleak::os {
namespace {

std::optional<Account> first_with(const std::function<bool(const passwd &)> &is_wanted) {
  std::unique_ptr<std::FILE, int (*)(std::FILE *)> file(std::fopen("/etc/passwd", "re"), std::fclose);
  while (const passwd *entry = file ? ::fgetpwent(file.get()) : nullptr)
    if (is_wanted(*entry))
      return Account{.name = entry->pw_name, .user = entry->pw_uid, .group = entry->pw_gid};
  return {};
}

} // namespace

std::optional<Account> find_account(const std::string &name) {
  return first_with([&](const passwd &entry) { return entry.pw_name == name; });
}

std::optional<Account> find_account(uid_t user) {
  return first_with([&](const passwd &entry) { return entry.pw_uid == user; });
}

} // namespace pidleak::os
