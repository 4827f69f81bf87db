"""What happens when: marks before tests and fixtures of wider scope, checks after them, and at the session's end.

A test's mark is set before its set-up. Fixtures of wider scope have marks of their own, which keep what is started in
them, until they end. What remains then is told with the last test that used them.
"""
import functools
import gc
import os
import re
import subprocess
import sys
import threading
import time
import types

import pytest
from _pytest._code.code import ExceptionChainRepr, ReprEntryNative, ReprFileLocation, ReprTraceback

from . import options

END_GRACE = 0.5  # between SIGTERM and SIGKILL, in seconds
MOST_CHECKS = 5


class PidleakWarning(pytest.PytestWarning):
    """A test has left a process."""


def pytest_addoption(parser):
    options.add(parser)


def pytest_configure(config):
    config.addinivalue_line(
        "markers",
        "pidleak(mode, scope=, grace=, helpers=, suppressions=): what this test comes to if it leaves a process: "
        "fail, warn or off; see --help",
    )
    chosen = options.read(config)
    plugin = _plugin(config, chosen)
    config.pluginmanager.register(plugin, "pidleak-checks")


def _plugin(config, chosen):
    if chosen.mode == "off":
        return Absent("off")
    if not sys.platform.startswith("linux"):
        return Absent("nothing is checked: processes are only looked at on Linux")
    import pidleak

    try:
        return Checks(config, chosen)
    except OSError as error:
        return Absent("nothing is checked: %s" % error)
    except pidleak.Error as error:
        if error.code != pidleak.library.UNSUPPORTED:
            raise pytest.UsageError(str(error))
        return Absent("nothing is checked: %s" % error)


class Absent:
    def __init__(self, why):
        self.why = why

    def pytest_report_header(self):
        return "pidleak: " + self.why


class Watched:
    """A test, a module, the session, or a fixture of wider scope than a test."""

    def __init__(self, name, choice, mark, node=None):
        self.name, self.choice, self.mark, self.node = name, choice, mark, node
        self.since = time.clock_gettime(time.CLOCK_BOOTTIME)
        self.owners = []  # a fixture's value, and threads, which may start more


class Checks:
    def __init__(self, config, chosen):
        import pidleak

        self.pidleak, self.config, self.chosen = pidleak, config, chosen
        self.pid = os.getpid()
        self.sessions = {}
        self.outer = self.watch("pytest", chosen)
        from .creations import Creations  # it stays: not before it is known that the library works

        self.creations = Creations.of_this_process()
        self.watched = {}  # by scope and node
        self.fixtures = {}  # by their definition
        self.ended = []  # fixtures
        self.next = None
        self.outlived = []  # texts

    def session_of(self, choice):
        key = (choice.grace, choice.helpers, choice.suppressions)
        if key not in self.sessions:
            helpers = options.HELPERS if choice.helpers else ()
            self.sessions[key] = self.pidleak.Session(choice.grace, choice.suppressions, helpers)
        return self.sessions[key]

    def watch(self, name, choice, node=None):
        return Watched(name, choice, self.session_of(choice).mark(name), node)

    def is_here(self):
        return os.getpid() == self.pid  # and not in a fork of pytest

    def pytest_report_header(self):
        from . import words

        return "pidleak: " + words.header(self.chosen, self.pidleak.version())

    # Tests.

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_setup(self, item):
        if not self.is_here():
            return
        try:
            choice = options.for_item(item, self.chosen)
            node = _node_of(item, choice.scope)
            if choice.mode != "off" and (choice.scope, node) not in self.watched:
                name = node.nodeid or "the session"
                self.watched[choice.scope, node] = self.watch(name, choice, node)
        except pytest.UsageError as error:
            pytest.fail("%s: @pytest.mark.pidleak: %s" % (item.nodeid, error), pytrace=False)
        except self.pidleak.Error as error:  # of the marker's rules, or the kernel's
            pytest.fail("%s: %s" % (item.nodeid, error), pytrace=False)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_teardown(self, item, nextitem):
        self.next = nextitem

    @pytest.hookimpl(hookwrapper=True, trylast=True)
    def pytest_runtest_makereport(self, item, call):
        outcome = yield
        if call.when != "teardown" or not self.is_here():
            return
        report = outcome.get_result()
        try:
            for watched, text in self.check(self.those_that_end(item)):
                try:
                    if watched.choice.mode == "fail":
                        _fail(report, text)
                    else:
                        item.warn(PidleakWarning(text))
                except PidleakWarning:  # of filterwarnings = error
                    _fail(report, text)
        except self.pidleak.Error as error:
            _fail(report, "pidleak could not look at what remains: %s" % error)

    def those_that_end(self, item):
        """Fixtures first: what they have left is theirs."""
        ended, self.ended = self.ended, []
        for key, watched in list(self.watched.items()):
            if self.next is None or _node_of(self.next, key[0]) is not key[1]:
                ended.append(self.watched.pop(key))
        return ended

    # Fixtures.

    @pytest.hookimpl(hookwrapper=True)
    def pytest_fixture_setup(self, fixturedef, request):
        if fixturedef.scope == "function" or not self.is_here():
            yield
            return
        fixture = self.watch(_name_of(fixturedef), self.chosen)
        before = threading.enumerate()
        outcome = yield
        fixture.mark.keep()
        self.fixtures[fixturedef] = fixture
        fixture.owners = [thread for thread in threading.enumerate() if thread not in before]
        if outcome.excinfo is None:
            fixture.owners += _owners_of(outcome.get_result())
        self.creations.owners.update((id(owner), fixture.mark.keep) for owner in fixture.owners)

    def pytest_fixture_post_finalizer(self, fixturedef):
        fixture = self.fixtures.pop(fixturedef, None)
        if fixture and self.is_here():
            self.creations.read()  # what its value has started in the last test is the fixture's as well
            for owner in fixture.owners:
                self.creations.owners.pop(id(owner), None)
            self.ended.append(fixture)

    # What remains.

    def check(self, those):
        """Pairs of what has left something, and its text."""
        from . import words

        self.creations.read()
        for watched in those:
            findings = watched.mark.check()
            if findings.leaked and getattr(subprocess, "_active", None):
                subprocess._cleanup()  # children whose Popen has been dropped: Python waits for them itself
                findings = watched.mark.check()
            for _ in range(MOST_CHECKS):
                if not findings.leaked or not self.creations.read():
                    break
                findings = watched.mark.check()  # a fixture has started something meanwhile
            if findings.leaked:
                text = words.of(findings, self.creations, watched.since)
                _terminate_pools({process["pid"] for process in findings.processes})
                if not watched.mark.end(END_GRACE):
                    text += "  not all of it could be ended\n"
                yield watched, text
            watched.mark.close()

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session):
        if not self.is_here():
            return
        self.next = None
        for watched, text in self.check(self.those_that_end(None)):  # of a session that was stopped
            self.outlived.append(text)
            if watched.choice.mode == "fail" and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.TESTS_FAILED
        findings = self.outer.mark.check()
        if findings.leaked:
            from . import words

            self.outlived.append(words.of(findings, self.creations, self.outer.since))
        if hasattr(self.config, "workeroutput"):  # of pytest-xdist
            self.config.workeroutput["pidleak"] = self.outlived

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node, error):
        self.outlived += getattr(node, "workeroutput", {}).get("pidleak", [])

    def pytest_terminal_summary(self, terminalreporter):
        if self.outlived:
            terminalreporter.section("what outlived the tests")
            for text in self.outlived:
                terminalreporter.write(text)

    def pytest_unconfigure(self):
        self.creations.enabled = False


def _node_of(item, scope):
    if scope == "session":
        return item.session
    return item if scope == "test" else item.getparent(pytest.File) or item


def _terminate_pools(pids):
    """multiprocessing's pools replace the workers that are ended, and pytest's end hangs on the locks of these: so the
    pool itself is asked first. In a thread, since it waits for workers that may ignore SIGTERM."""
    module = sys.modules.get("multiprocessing.pool")
    if module is None:
        return
    for pool in [each for each in gc.get_objects() if isinstance(each, module.Pool)]:
        if pids.intersection(process.pid for process in getattr(pool, "_pool", [])):
            thread = threading.Thread(target=pool.terminate, name="pidleak ends a pool", daemon=True)
            thread.start()
            thread.join(END_GRACE)


def _owners_of(value):
    """What the frames of a fixture's value are known by: its code, or the first argument of its methods."""
    if isinstance(value, functools.partial):
        return _owners_of(value.func)
    if isinstance(value, types.MethodType):
        return [value.__self__]
    if isinstance(value, types.FunctionType):
        return [value.__code__]
    return [] if type(value).__module__ == "builtins" else [value]  # None is the first argument of many


def _name_of(fixturedef):
    """pytest makes fixtures of setup_module, setup_class and setUpClass."""
    made = re.match(r"_(?:xunit|unittest)_(\w+?)_fixture_(.+)", fixturedef.argname)
    return "%s of %s" % made.groups() if made else "the fixture %s (%s)" % (fixturedef.argname, fixturedef.scope)


def _fail(report, text):
    """Its own failure, if there is one, stays the first thing to be read."""
    if report.outcome == "failed":
        report.sections.append(("pidleak", text))
        return
    path, line, _ = report.location
    message = text.split("\n", 1)[0].replace(report.nodeid + ": ", "", 1)  # for pytest's summary, which has the name
    crash = ReprFileLocation(path, (line or 0) + 1, message)
    traceback = ReprTraceback([ReprEntryNative([text])], None, "native")
    report.outcome, report.longrepr = "failed", ExceptionChainRepr([(traceback, crash, None)])
