"""pidleak.h through ctypes. Its comments say what is promised; here are Python's words for it."""
import ctypes
import json
import os
from collections import namedtuple

BESIDE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "libpidleak.so.1")
CLEAN, DOUBTFUL, LEAKED = range(3)
UNSUPPORTED, STILL_THERE = 3, 6


class Error(Exception):
    """A function has failed: `code` is one of enum pidleak_error."""

    def __init__(self, code, text):
        super().__init__(text)
        self.code = code


class Findings(namedtuple("Findings", "verdict report text")):
    """`report`: of the document that `pidleak guard --report` writes. `text`: the same for people."""

    @property
    def leaked(self):
        return self.verdict == LEAKED

    @property
    def processes(self):
        """Those that count, as dicts."""
        return [process for process in self.report["remaining"] if process["suppressed_by"] is None]


class _Helper(ctypes.Structure):
    _fields_ = [("command_line", ctypes.c_char_p), ("role", ctypes.c_char_p)]


class _Options(ctypes.Structure):
    _fields_ = [
        ("size", ctypes.c_size_t),
        ("grace_ms", ctypes.c_int),
        ("adopt_orphans", ctypes.c_int),
        ("strict", ctypes.c_int),
        ("reap", ctypes.c_int),
        ("suppressions", ctypes.c_char_p),
        ("helpers", ctypes.POINTER(_Helper)),
        ("helper_count", ctypes.c_size_t),
    ]


_POINTER = ctypes.POINTER(ctypes.c_void_p)
_TYPES = {
    "pidleak_open": [ctypes.POINTER(_Options), _POINTER, _POINTER],
    "pidleak_set_mark": [ctypes.c_void_p, ctypes.c_char_p, _POINTER, _POINTER],
    "pidleak_keep": [ctypes.c_void_p, ctypes.c_int, _POINTER],
    "pidleak_note_child": [ctypes.c_int, _POINTER],
    "pidleak_check": [ctypes.c_void_p, ctypes.POINTER(ctypes.c_int), _POINTER, _POINTER, _POINTER],
    "pidleak_end": [ctypes.c_void_p, ctypes.c_int, _POINTER],
    "pidleak_close": [ctypes.c_void_p],
    "pidleak_drop_mark": [ctypes.c_void_p],
    "pidleak_free": [ctypes.c_void_p],
}
_library = None


def _load():
    """Beside this file, or where the linker looks; PIDLEAK_LIBRARY comes first. Throws OSError."""
    global _library
    if _library is None:
        library = ctypes.CDLL(os.environ.get("PIDLEAK_LIBRARY") or (BESIDE if os.path.exists(BESIDE) else "libpidleak.so.1"))
        for name, types in _TYPES.items():
            function = getattr(library, name)
            function.argtypes = types
            function.restype = ctypes.c_int if types[-1] is _POINTER else None
        library.pidleak_version.restype = ctypes.c_char_p
        _library = library
    return _library


def _take(pointer):
    text = ctypes.string_at(pointer).decode("utf-8", "replace") if pointer else ""
    _load().pidleak_free(pointer)
    return text


def _call(name, *arguments):
    error = ctypes.c_void_p()
    code = getattr(_load(), name)(*arguments, ctypes.byref(error))
    if code:
        raise Error(code, _take(error))


def version():
    return _load().pidleak_version().decode()


def note_child(pid):
    """This process has started that child, otherwise than by os.fork(), and has not waited for it yet."""
    _call("pidleak_note_child", pid)


class _Handle:
    def __init__(self):
        self._handle = ctypes.c_void_p()

    def close(self):
        handle, self._handle = self._handle, ctypes.c_void_p()
        getattr(_load(), self._release)(handle)

    def __enter__(self):
        return self

    def __exit__(self, *unused):
        self.close()


class Session(_Handle):
    """`grace`: seconds. `suppressions`: the text of rules. `helpers`: pairs of a pattern and a role."""

    _release = "pidleak_close"

    def __init__(self, grace=2.0, suppressions=None, helpers=(), adopt_orphans=True, strict=False):
        super().__init__()
        listed = (_Helper * len(helpers))(*((pattern.encode(), role.encode()) for pattern, role in helpers))
        options = _Options(
            ctypes.sizeof(_Options),
            int(grace * 1000),
            adopt_orphans,
            strict,
            True,
            None if suppressions is None else suppressions.encode(),
            listed,
            len(helpers),
        )
        _call("pidleak_open", ctypes.byref(options), ctypes.byref(self._handle))

    def mark(self, name):
        return Mark(self, name)


class Mark(_Handle):
    """A point from which new processes are counted."""

    _release = "pidleak_drop_mark"

    def __init__(self, session, name):
        super().__init__()
        _call("pidleak_set_mark", session._handle, os.fsencode(name), ctypes.byref(self._handle))

    def keep(self, pid=0):
        _call("pidleak_keep", self._handle, pid)

    def check(self):
        verdict, report, text = ctypes.c_int(), ctypes.c_void_p(), ctypes.c_void_p()
        _call("pidleak_check", self._handle, ctypes.byref(verdict), ctypes.byref(report), ctypes.byref(text))
        return Findings(verdict.value, json.loads(_take(report))["reports"][0], _take(text))

    def end(self, grace=0.5):
        """SIGTERM, and SIGKILL after `grace` seconds. False: something could not be ended."""
        try:
            _call("pidleak_end", self._handle, int(grace * 1000))
        except Error as error:
            if error.code != STILL_THERE:
                raise
            return False
        return True
