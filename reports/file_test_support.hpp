// For tests of where a report may be written: places, users and file systems of many kinds.
#pragma once

#include "harness/os/namespaces.hpp"
#include "harness/os/pipe.hpp"
#include "harness/os/syscall_error.hpp"

#include <catch2/catch_test_macros.hpp>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstddef>
#include <string>

namespace pidleak::testing {

inline struct stat stat_of(const std::string &path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0)
    os::throw_errno("lstat({})", path);
  return info;
}

/// Makes a file.
inline void put(const std::string &path, const std::string &text, mode_t mode = 0644) {
  auto fd = os::UniqueFd::adopt(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode));
  if (!fd || !os::write_all(fd.get(), text) || ::fchmod(fd.get(), mode) != 0)
    os::throw_errno("create {}", path);
}

/// The errno with which `call` fails; 0: it does not.
template <class Call>
int error_of(Call call) {
  try {
    call();
    return 0;
  } catch (const os::SyscallError &e) {
    return e.error();
  }
}

/// Skips the test case where no process can have mounts of its own.
inline os::NamespaceKind require_mounts() {
  auto kind = ::geteuid() == 0 ? os::NamespaceKind::privileged : os::NamespaceKind::with_user_namespace;
  if (auto why = os::why_no_namespace(kind); !why.empty())
    SKIP("needs a mount namespace: " << why);
  return kind;
}

/// Skips the test case where this process can't act for several users.
inline void require_root() {
  if (::geteuid() != 0)
    SKIP("needs root");
}

constexpr unsigned ordinary_user = 65534;

/// In a child: no privilege is left.
inline void become_ordinary_user() {
  if (::setgroups(0, nullptr) != 0 || ::setresgid(ordinary_user, ordinary_user, ordinary_user) != 0 ||
      ::setresuid(ordinary_user, ordinary_user, ordinary_user) != 0)
    os::throw_errno("setresuid({})", ordinary_user);
}

inline void mount(const std::string &source, const std::string &target, const char *type, unsigned long flags,
                  const std::string &options = "") {
  if (::mount(source.c_str(), target.c_str(), type, flags, options.c_str()) != 0)
    os::throw_errno("mount({} on {}, {})", source, target, options);
}

/// In a child: from here on its mounts are its own.
inline void unshare_mounts() {
  os::unshare_for_init(::geteuid() == 0 ? os::NamespaceKind::privileged : os::NamespaceKind::with_user_namespace);
  if (::unshare(CLONE_NEWNS) != 0)
    os::throw_errno("unshare(CLONE_NEWNS)");
  mount("none", "/", nullptr, MS_REC | MS_PRIVATE);
}

/// In a child: a file system that no other process sees.
inline void mount_private(const std::string &target, const char *type, const std::string &options) {
  unshare_mounts();
  mount("private", target, type, 0, options);
}

namespace detail {

template <std::size_t Size>
void filter_calls(sock_filter (&code)[Size]) {
  sock_fprog program = {.len = Size, .filter = code};
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || ::prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
    os::throw_errno("prctl(PR_SET_SECCOMP)");
}

} // namespace detail

/// In a child: from here on the system call `number` fails with `error`.
inline void refuse(long number, int error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<unsigned>(number), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  detail::filter_calls(code);
}

/// In a child: from here on O_TMPFILE fails with `error`.
inline void refuse_nameless_files(int error) {
  sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 3),
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, args[2])),
      BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_TMPFILE & ~O_DIRECTORY, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(error)),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  detail::filter_calls(code);
}

} // namespace pidleak::testing
