#!/usr/bin/env python3
"""Ends harness, warden, guard and sweep by SIGKILL at random moments, and looks for what is left: a process, a cgroup, a
mount, a file.

Each command runs once to its end first, which tells how long it takes; then again and again, and is killed at a moment
that is drawn from that time. Of a command that ends before, the kill is not counted. Every process that is left comes to
this one, which is the subreaper of all. Writes a line of JSON for each victim to standard output. Status 1: something was
left.
"""
import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PR_SET_CHILD_SUBREAPER = 36
POOLS = ["cpython36", "cpython37", "cpython312", "hardened"]
SCENARIOS = ["incident", "owner-killed", "full-queue-shutdown", "oom-killed-child", "lifetime", "kubelet-stop"]
TREE = "for i in 1 2 3; do (setsid sh -c 'sleep 1000 & sleep 0.05') & done; sleep 0.1"


def harness(pidleak, draw):
    return [pidleak, "run", draw.choice(SCENARIOS), "--pool", draw.choice(POOLS), "--jobs", str(draw.choice([1, 3])),
            "--repeat", "3", "--start-method", draw.choice(["fork", "spawn", "forkserver"]),
            "--oom", draw.choice(["real", "sigkill"]), "--report", "r.json",
            "--tier", draw.choice(["namespace-cgroup", "namespace", "subreaper"])]


def sweep(pidleak, draw):
    return [pidleak, "sweep", "--pool", draw.choice(POOLS), "--role", draw.choice(["worker", "owner"]), "--sample", "6",
            "--fault", draw.choice(["kill", "term", "errno"]), "--jobs", "2", "--repeat", "1", "--report", "r.json"]


def guard(pidleak, draw):
    how = draw.choice([["--tier", "namespace"], ["--tier", "namespace", "--watch"],
                       ["--tier", "namespace", "--timeout", "20", "--junit", "r.xml"], ["--html", "r.html"], []])
    # Without a namespace of its own only the command itself ends with guard.
    return [pidleak, "guard", "--report", "r.json", "--grace", "0.05"] + how + \
        ["--"] + (["sh", "-c", TREE] if "namespace" in how else ["sleep", "0.15"])


VICTIMS = {"harness": harness, "warden": harness, "guard": guard, "sweep": sweep}


def wait_for_no_children(deadline):
    """True: there is none any more, however it came to this process."""
    while True:
        try:
            while os.waitpid(-1, os.WNOHANG)[0] != 0:
                pass
        except ChildProcessError:
            return True
        left = deadline - time.monotonic()
        if left <= 0 or signal.sigtimedwait({signal.SIGCHLD}, left) is None:
            return False


def children_of(pid):
    try:
        with open(f"/proc/{pid}/task/{pid}/children") as text:
            return [int(word) for word in text.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def end_all_children():
    while children := children_of(os.getpid()):
        for pid in children:
            pidfd = os.pidfd_open(pid)  # no process but this one waits for it: the pid stays its own
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
            os.waitpid(pid, 0)


def cgroups_of(pid):
    return [path for path, _, _ in os.walk("/sys/fs/cgroup") if f"-{pid}-" in os.path.basename(path)
            and os.path.basename(path).startswith("pidleak-")]


def mounts():
    with open("/proc/self/mounts") as text:
        return text.read().count("pidleak")


def describe(pid):
    try:
        with open(f"/proc/{pid}/cmdline") as text:
            return f"{pid} {text.read().replace(chr(0), ' ')}"
    except OSError:
        return f"{pid}"


class Round:
    """One command in a directory of its own, for its temporary files as well."""
    bound = 0.0  # s

    def __init__(self, command):
        self.directory = tempfile.mkdtemp(prefix="kill-at-random-")
        self.temporary = os.path.join(self.directory, "tmp")
        os.mkdir(self.temporary)
        self.mounts = mounts()
        self.process = subprocess.Popen(command, cwd=self.directory, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=dict(os.environ, TMPDIR=self.temporary))
        self.pidfd = os.pidfd_open(self.process.pid)

    def ends_within(self, seconds):
        return signal.sigtimedwait({signal.SIGCHLD}, seconds) is not None

    def kill(self, victim, draw):
        """False: there was no such process."""
        if victim != "warden":
            signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            return True
        wardens = children_of(self.process.pid)
        if not wardens:
            return False
        try:
            warden = os.pidfd_open(draw.choice(wardens))
            signal.pidfd_send_signal(warden, signal.SIGKILL)
            os.close(warden)
            return True
        except ProcessLookupError:
            return False

    def left(self):
        found = []
        if not wait_for_no_children(time.monotonic() + self.bound):
            found = [f"process {describe(pid)}" for pid in children_of(os.getpid())]
            end_all_children()
        found += [f"cgroup {path}" for path in cgroups_of(self.process.pid)]
        found += [f"file {name}" for name in os.listdir(self.temporary)]
        found += ["mount"] if mounts() > self.mounts else []
        # Besides its report, whole or not there at all.
        for name in sorted(os.listdir(self.directory)):
            if name not in ("tmp", "r.json", "r.xml", "r.html"):
                found.append(f"file {name}")
        os.close(self.pidfd)
        self.process.returncode = 0  # it was waited for above
        shutil.rmtree(self.directory)
        return found


def campaign(pidleak, victim, kills, draw):
    done, tried, lefts, took = 0, 0, [], {}
    while done < kills:
        command = VICTIMS[victim](pidleak, draw)
        kind = " ".join(command[:5])
        if kind not in took:
            start = time.monotonic()
            whole = Round(command)
            os.waitid(os.P_PIDFD, whole.pidfd, os.WEXITED | os.WNOWAIT)
            took[kind] = time.monotonic() - start
            lefts += [(whole.process.pid, "nothing", 0, left, command) for left in whole.left()]
        tried += 1
        after = draw.uniform(0, took[kind])
        while signal.sigtimedwait({signal.SIGCHLD}, 0):
            pass
        one = Round(command)
        killed = not one.ends_within(after) and one.kill(victim, draw)
        done += killed
        for left in one.left():
            lefts.append((one.process.pid, victim, after, left, command))
            print(f"left after {after:.3f} s of `{' '.join(command)}`: {left}", file=sys.stderr)
        if tried > 20 * kills:
            sys.exit(f"{victim}: {done} of {tried} commands were there to be killed")
    return {"victim": victim, "kills": done, "left": len(lefts)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pidleak")
    parser.add_argument("--kills", type=int, default=1000, help="of each victim (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=random.randrange(1000000), help="by default drawn by lot, and told")
    parser.add_argument("--bound", type=float, default=120, help="seconds after which a process that is there is left")
    given = parser.parse_args()
    pidleak = shutil.which(given.pidleak) or parser.error(f"{given.pidleak}: no program")
    Round.bound = given.bound
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
    print(f"seed {given.seed}", file=sys.stderr)
    draw = random.Random(given.seed)
    left = 0
    for victim in VICTIMS:
        row = campaign(os.path.abspath(pidleak), victim, given.kills, draw)
        left += row["left"]
        print(json.dumps(row), flush=True)
    sys.exit(1 if left else 0)


main()
