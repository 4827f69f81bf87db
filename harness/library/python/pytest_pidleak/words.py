"""What is told: the library's text, and for each process who has created it."""
import os

from . import options


def header(choice, version):
    what = {"fail": "fails", "warn": "is warned of"}[choice.mode]
    text = "%s: a %s that leaves a process %s; %g s of grace" % (version, choice.scope, what, choice.grace)
    if choice.helpers:
        text += "; exempt: " + ", ".join(role for _, role in options.HELPERS if "semaphore" not in role)
    return text


def of(findings, creations, since):
    """`since`: seconds of CLOCK_BOOTTIME; what was created before has created none of them."""
    by_pid = {process["pid"]: process for process in findings.report["remaining"]}
    lines = [findings.text]
    for process in findings.processes:
        lines += _lines(process, by_pid, creations, since)
    return "".join(lines)


def _lines(process, by_pid, creations, since):
    creation, below, maybe = creations.of(process), process, ""
    while creation is None and below["parent"] in by_pid:  # a program that is no Python has started it
        below = by_pid[below["parent"]]
        creation = creations.of(below)
    if creation is None:
        below, maybe = process, "maybe "
        creation = creations.before(process, since)
    if creation is None:
        yield "  pid %d was created by: not known\n" % process["pid"]
        return
    by = "pytest" if creation["by"] == os.getpid() else "a fork of pytest's"
    if below is not process:
        by = "pid %d (%s), created by %s" % (below["pid"], below["comm"], by)
    elif maybe and creation["words"]:
        by = "%s, created by %s" % (" ".join(creation["words"]), by)
    place, source = creation["place"]
    yield "  pid %d was %screated by %s (pid %d) at %s\n" % (process["pid"], maybe, by, creation["by"], place)
    if source:
        yield "              %s\n" % source
