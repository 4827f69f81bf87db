// A PID namespace with a /proc of its own. When its init ends, the kernel ends everything in it.
#pragma once

#include <string>

namespace pidleak::os {

/// How this process gets a PID namespace: root makes one; others make a user namespace around it first.
enum class NamespaceKind { privileged, with_user_namespace };
NamespaceKind namespace_kind_of_user();

/// In the process that will fork the init: makes the namespaces (unshare(2)); the next child is PID 1 in them.
/// With a user namespace the caller's ids are mapped to themselves. Throws SyscallError.
void unshare_for_init(NamespaceKind kind);

/// In the init: makes a mount namespace, and mounts a /proc for the PID namespace. Not seen outside. Throws
/// SyscallError.
void mount_private_proc();

/// The same, and a tmpfs on /dev/shm, so that what a replay leaves there vanishes with it.
void mount_private_filesystems();

/// In the init: a network namespace with nothing but 127.0.0.1, so that a port is taken by no other process of the
/// machine, and an IPC namespace, whose System V segments go with it. Throws SyscallError.
void unshare_network_and_ipc();

/// Tries a PID namespace with these filesystems in a child that ends at once. Empty if it works, else what failed.
std::string why_no_namespace(NamespaceKind kind);

} // namespace pidleak::os
