"""What is chosen: by a marker, else on the command line, else in the ini file."""
import json
from collections import namedtuple

import pytest

MODES = ("fail", "warn", "off")
SCOPES = ("test", "module", "session")
# Programs that serve others for as long as pytest lives. What a fork server forks is none of them.
HELPERS = (
    ("*from multiprocessing.resource_tracker import main*", "multiprocessing's resource tracker"),
    ("*from multiprocessing.semaphore_tracker import main*", "multiprocessing's semaphore tracker"),
    ("*from multiprocessing.forkserver import main*", "multiprocessing's fork server"),
    ("*loky.backend.resource_tracker import main*", "loky's resource tracker"),
    ("*loky.backend.semaphore_tracker import main*", "loky's semaphore tracker"),
)


def _is_grace(text):
    try:
        return 0 <= float(text) <= 86400
    except (TypeError, ValueError):
        return False


Option = namedtuple("Option", "default accepts wanted help")
OPTIONS = {
    "pidleak": Option("fail", MODES.__contains__, "fail, warn or off", "what a test comes to that leaves a process"),
    "pidleak_scope": Option("test", SCOPES.__contains__, "test, module or session", "after what it is looked"),
    "pidleak_grace": Option("2", _is_grace, "seconds, at most a day", "how long processes may take to leave"),
    "pidleak_helpers": Option("exempt", ("exempt", "count").__contains__, "exempt or count", "multiprocessing's and loky's"),
    "pidleak_suppressions": Option("", lambda text: True, "a file", "JSON rules for processes that may remain"),
}


def add(parser):
    group = parser.getgroup("pidleak", "processes that tests leave behind")
    for name, option in OPTIONS.items():
        text = "%s: %s" % (option.wanted, option.help)
        group.addoption("--" + name.replace("_", "-"), dest=name, default=None, metavar="WORD", help=text)
        parser.addini(name, text + " (%s)" % (option.default or "none"), default=option.default)


class Choice(namedtuple("Choice", "mode scope grace helpers suppressions")):
    """`suppressions`: the text of rules, or None."""

    __slots__ = ()


def read(config):
    """Of the command line and the ini file. Throws pytest.UsageError."""
    words = {}
    for name, option in OPTIONS.items():
        given = config.getoption(name)
        words[name] = config.getini(name) if given is None else given
        if not option.accepts(words[name]):
            raise pytest.UsageError("%s: %r is not %s" % (name, words[name], option.wanted))
    rules = None
    if words["pidleak_suppressions"]:
        path = config.rootpath / words["pidleak_suppressions"]
        try:
            rules = path.read_text(encoding="utf-8")
        except OSError as error:
            raise pytest.UsageError("pidleak_suppressions: %s: %s" % (path, error.strerror))
        except UnicodeDecodeError as error:
            raise pytest.UsageError("pidleak_suppressions: %s: %s" % (path, error))
    return Choice(
        words["pidleak"], words["pidleak_scope"], float(words["pidleak_grace"]), words["pidleak_helpers"] == "exempt", rules
    )


def of_marker(mode=None, *, scope=None, grace=None, helpers=None, suppressions=None):
    """As `@pytest.mark.pidleak(...)` has them. `suppressions`: rules as in the file, a list of dicts."""
    for name, value in (("pidleak", mode), ("pidleak_scope", scope), ("pidleak_grace", grace), ("pidleak_helpers", helpers)):
        if value is not None and not OPTIONS[name].accepts(value):
            raise pytest.UsageError("%r is not %s" % (value, OPTIONS[name].wanted))
    if suppressions is not None:
        if not isinstance(suppressions, (list, tuple)):
            raise pytest.UsageError("suppressions: %r is not a list of rules" % (suppressions,))
        try:
            json.dumps(suppressions)
        except (TypeError, ValueError) as error:
            raise pytest.UsageError("suppressions: %s" % error)
    return {
        "mode": mode,
        "scope": scope,
        "grace": grace,
        "helpers": None if helpers is None else helpers == "exempt",
        "suppressions": suppressions,
    }


def for_item(item, chosen):
    """What holds for a test: the marker that is closest to it comes first, and rules add up."""
    for mark in reversed(list(item.iter_markers("pidleak"))):
        try:
            marked = of_marker(*mark.args, **mark.kwargs)
        except TypeError as error:
            raise pytest.UsageError(str(error))
        rules = marked.pop("suppressions")
        chosen = chosen._replace(**{name: value for name, value in marked.items() if value is not None})
        if rules:
            before = json.loads(chosen.suppressions)["suppressions"] if chosen.suppressions else []
            chosen = chosen._replace(suppressions=json.dumps({"suppressions": list(rules) + before}))
    return chosen
