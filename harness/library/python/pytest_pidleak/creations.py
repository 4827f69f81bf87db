"""Who has started which process: noted as it happens, with the line of the user's that did it.

An audit hook hears of each creation before it takes place. The pid comes from the child itself after a fork, and from
what starts programs as its result. Forked children inherit all that, and write into the same file in memory: so what
they start is known too. A program of another kind tells nothing.
"""
import fcntl
import functools
import json
import linecache
import os
import sys
import sysconfig
import threading
import time

import pidleak

EVENTS = {"os.fork", "os.forkpty", "os.posix_spawn", "os.system", "subprocess.Popen"}
TICK = 0.011  # of the clock that start times are told by, and a little more
MOST_BYTES = 8 << 20  # of the file in memory


STANDARD = tuple(os.path.realpath(sysconfig.get_path(name)) + os.sep for name in ("stdlib", "platstdlib"))
STANDARD_TESTS = tuple(path + "test" + os.sep for path in STANDARD)
BEGAN_IN = os.path.join(os.getcwd(), "")
OURS = os.path.dirname(os.path.realpath(__file__)) + os.sep


@functools.lru_cache(maxsize=None)
def _rank(filename):
    """How close a file is to the user: 2 is theirs, 1 a package, 0 the standard library, -1 this plugin."""
    if filename.startswith("<doctest "):
        return 2
    path = os.path.realpath(filename)
    if path.startswith(OURS) or filename.startswith("<"):
        return -1
    if path.startswith(STANDARD_TESTS):
        return 2
    if "/site-packages/" in path or "/dist-packages/" in path:
        return 1
    return 0 if path.startswith(STANDARD) else 2


def _frames():
    frame = sys._getframe(2)
    while frame is not None:
        yield frame
        frame = frame.f_back


def _place(frames):
    """The innermost frame of the highest rank that there is."""
    best = max(frames, key=lambda frame: _rank(frame.f_code.co_filename))  # the first of those alike
    code = best.f_code
    path = code.co_filename
    if path.startswith(BEGAN_IN):  # a test may have gone elsewhere
        path = path[len(BEGAN_IN) :]
    place = "%s:%d in %s" % (path, best.f_lineno, code.co_name)
    return [place, linecache.getline(code.co_filename, best.f_lineno).strip()]


def _words(event, arguments):
    """The command line, as far as the event has it."""
    given = arguments[1] if event in ("os.posix_spawn", "subprocess.Popen") else arguments[0] if event == "os.system" else []
    if isinstance(given, (str, bytes, os.PathLike)):
        given = [given]
    return [os.fsdecode(word) for word in given]


class Creations:
    """Installs itself, for as long as this process lives: an audit hook can't be taken away."""

    _only = None

    @classmethod
    def of_this_process(cls):
        """The one that there is: pytest may be run several times in a process."""
        if cls._only is None or cls._only._main != os.getpid():
            cls._only = cls()
        cls._only.enabled = True
        return cls._only

    def __init__(self):
        self._file = os.memfd_create("pidleak-creations", os.MFD_CLOEXEC)
        fcntl.fcntl(self._file, fcntl.F_SETFL, os.O_APPEND)  # each line is written whole beside those of forks
        self._identity = self._identify()
        self._main = os.getpid()
        self._local = threading.local()
        self._read = 0
        self._begun = {}  # by number
        self._by_pid = {}
        self.owners = {}  # id of a fixture's value, its code, or a thread: what to call for a pid that it starts
        self.enabled = True
        sys.addaudithook(self._audit)
        os.register_at_fork(after_in_parent=self._has_forked, after_in_child=self._is_forked)
        import _posixsubprocess
        import multiprocessing.process
        import subprocess

        _posixsubprocess.fork_exec = self._noting(_posixsubprocess.fork_exec)
        if hasattr(subprocess, "_fork_exec"):  # Python 3.11
            subprocess._fork_exec = self._noting(subprocess._fork_exec)
        os.posix_spawn, os.posix_spawnp = self._noting(os.posix_spawn), self._noting(os.posix_spawnp)
        started = multiprocessing.process.BaseProcess.start  # of a fork server's processes nothing else tells

        @functools.wraps(started)
        def start(process):
            number = self._begin("multiprocessing", (), list(_frames())) if self.enabled else None
            started(process)
            self._end(number, process.pid)

        multiprocessing.process.BaseProcess.start = start

    # What happens, in this process and its forks.

    def _identify(self):
        status = os.fstat(self._file)
        return status.st_dev, status.st_ino

    def _write(self, **note):
        if self._identify() != self._identity:  # a daemon closes all, and then that number is another file's
            raise OSError("the file is closed")
        os.write(self._file, (json.dumps(note) + "\n").encode())

    def _begin(self, event, arguments, frames):
        """Its number; None: it could not be noted. Whatever goes wrong, what a test does must not fail by it."""
        try:
            number = "%d.%d" % (os.getpid(), time.monotonic_ns())
            owner = None
            if self.owners and os.getpid() == self._main:
                owners = [id(threading._active.get(threading.get_ident()))]
                owners += (own for frame in frames for own in _own(frame))
                owner = next((own for own in owners if own in self.owners), None)
            self._write(
                number=number,
                by=os.getpid(),
                words=_words(event, arguments),
                place=_place(frames),
                owner=owner,
                at=time.clock_gettime(time.CLOCK_BOOTTIME),
            )
            return number
        except Exception:
            return None

    def _end(self, number, pid):
        try:
            if number:
                self._write(number=number, pid=pid, at=time.clock_gettime(time.CLOCK_BOOTTIME))
        except OSError:
            pass

    def _audit(self, event, arguments):
        if event in EVENTS and self.enabled:
            number = self._begin(event, arguments, list(_frames()))
            self._local.number = None if event == "os.system" else number

    def _has_forked(self):
        self._local.number = None

    def _is_forked(self):
        number = getattr(self._local, "number", None)
        self._local.number = None
        self._end(number, os.getpid())

    def _noting(self, start):
        @functools.wraps(start)
        def noting(*arguments, **named):
            if not self.enabled:
                return start(*arguments, **named)
            number = getattr(self._local, "number", None)
            self._local.number = None
            if not number or sys._getframe(1).f_globals.get("__name__") == "multiprocessing.util":  # it has no event
                number = self._begin("fork_exec", (), list(_frames()))
            pid = start(*arguments, **named)
            self._end(number, pid)
            try:
                pidleak.note_child(pid)
            except pidleak.Error:
                pass  # then the kernel has to tell whose it is
            return pid

        return noting

    # What is known of it.

    def read(self):
        """What has come since the last time: pids of the owners among it are told to them. True: there were such."""
        told = False
        size = os.fstat(self._file).st_size
        if size == self._read:
            return told
        text = os.pread(self._file, size - self._read, self._read)
        whole = text.rfind(b"\n") + 1
        self._read += whole
        for line in text[:whole].splitlines():
            note = json.loads(line)
            if "pid" not in note:
                self._begun[note["number"]] = dict(note, pid=None, until=None)
            elif note["number"] in self._begun:
                creation = self._begun[note["number"]]
                creation.update(pid=note["pid"], until=note["at"])
                self._by_pid[note["pid"]] = creation
                if creation["owner"] in self.owners:
                    self.owners[creation["owner"]](note["pid"])
                    told = True
        if self._read > MOST_BYTES:
            os.ftruncate(self._file, 0)
            self._read = 0
            self._begun.clear()
        return told

    def of(self, process):
        """That of a process, a dict as reports have it; None: it is not known."""
        creation = self._by_pid.get(process["pid"])
        start = process["start_ticks"] / os.sysconf("SC_CLK_TCK")
        if creation and creation["at"] - TICK <= start <= creation["until"] + TICK:
            return creation
        return None

    def before(self, process, since):
        """The last one that began before that process's start, since then: maybe it was started below that."""
        start = process["start_ticks"] / os.sysconf("SC_CLK_TCK") + TICK
        earlier = [creation for creation in self._begun.values() if since <= creation["at"] <= start]
        return max(earlier, key=lambda creation: creation["at"], default=None)


def _own(frame):
    """The ids of a function's code, and of the first argument of a method."""
    code = frame.f_code
    yield id(code)
    if code.co_argcount:
        yield id(frame.f_locals.get(code.co_varnames[0]))
