// The users of this machine, from /etc/passwd alone, passwd(5): what else knows users (NSS) is loaded as libraries,
// which a static program can't do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace pidleak::os {

struct Account {
  std::string name;
  uid_t user = 0;
  gid_t group = 0;
};

/// Nothing: there is none, or the file can't be read.
std::optional<Account> find_account(const std::string &name);
std::optional<Account> find_account(uid_t user);

} // namespace pidleak::os
