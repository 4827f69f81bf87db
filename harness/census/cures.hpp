// What the author of a process can do about the cause that keeps it. One line each, and only where the cause tells it.
#pragma once

namespace pidleak::census::cures {

inline constexpr const char
    *reset_handlers = "reset SIGTERM to its default in the child, before anything else: fork(2) keeps handlers",
    *reset_ignored = "set SIGTERM to its default in the child before exec: what is ignored stays ignored",
    *unblock = "unblock SIGTERM in the child before exec: the signal mask is inherited",
    *reap = "its parent is to wait for its children, or to ignore SIGCHLD",
    *close_own_end = "close the other end in the reader after the fork: with that open, no end of file comes",
    *close_inherited_end = "start its holder without that end: O_CLOEXEC, or its output redirected (Go: Cmd.WaitDelay)",
    *drain = "read it to its end before waiting for the writer (a queue: drain it before join), or close the read end",
    *close_lock = "open the file of the lock with O_CLOEXEC, or start the holder without it (flock --close)",
    *order_locks = "take the locks in the same order everywhere, or give up after a while (flock --timeout)",
    *robust_lock = "use a lock that the kernel releases with its holder: a robust mutex, flock(2), a token in a pipe",
    *open_with_a_limit = "open the FIFO with O_RDWR or O_NONBLOCK, or end the opener where its other side fails",
    *close_unused_ends = "each process is to close after the fork the ends that it does not use",
    *open_to_read = "open it for reading alone: with a descriptor that writes as well, no end of file comes",
    *close_own_lock = "close the inherited descriptor of the lock's file first: through that it holds the lock itself",
    *notice_death_kill = "prctl(PR_SET_PDEATHSIG, SIGKILL) in it, which ignores SIGTERM",
    *notice_death = "prctl(PR_SET_PDEATHSIG, SIGTERM) in it, or a pipe from its parent whose end of file it reads";

} // namespace pidleak::census::cures
