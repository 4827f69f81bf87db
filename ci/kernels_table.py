"""Judges what ci/vm/restrictions has brought back, and writes the table: kernels_table.py TABLE DIRECTORY...

Each directory is a machine's, SUITE-CGROUP. Status 1: a verdict is wrong, a refusal is missing or says nothing, doctor
does not name what is in the way, or something is left; each is told, and in the table as well.
"""

import collections
import json
import pathlib
import re
import sys

TIERS = ["subreaper", "namespace", "namespace-cgroup"]
USERS = {"root": "root", "user": "an ordinary user"}
NO_NAMESPACES = ("unprivileged_userns_clone=0", "max_user_namespaces=0", "all-of-these")
READ_ONLY = ("cgroup-read-only", "all-of-these")

BELOW = {"in a user namespace": "user namespace", "that are not below": "calls of those not below"}

# What doctor must say: of what the restriction takes from this user, and what gives it back.
DOCTOR = {
    ("perf_event_paranoid=3", "user"): ["`sysctl kernel.perf_event_paranoid=2`"],
    ("perf_event_paranoid=4", "user"): ["`sysctl kernel.perf_event_paranoid=2`"],
    ("ptrace_scope=1", "user"): ["`sysctl kernel.yama.ptrace_scope=0`"],
    ("ptrace_scope=2", "user"): ["`sysctl kernel.yama.ptrace_scope=1`"],
    ("ptrace_scope=3", "root"): ["kernel.yama.ptrace_scope is 3"],
    ("ptrace_scope=3", "user"): ["kernel.yama.ptrace_scope is 3"],
    ("unprivileged_userns_clone=0", "user"): ["`sysctl kernel.unprivileged_userns_clone=1`"],
    ("max_user_namespaces=0", "user"): ["`sysctl user.max_user_namespaces="],
    ("cgroup-read-only", "root"): ["is read-only", "remount"],
    ("hidepid=2", "user"): ["`mount -o remount,hidepid=0 /proc`"],
    ("all-of-these", "root"): ["is read-only", "remount"],
    ("all-of-these", "user"): [
        "`sysctl kernel.perf_event_paranoid=2`",
        "`sysctl kernel.yama.ptrace_scope=1`",
        "`sysctl user.max_user_namespaces=",
        "`mount -o remount,hidepid=0 /proc`",
    ],
}


def expected_tier(restriction, user):
    if user == "user":
        return "subreaper" if restriction in NO_NAMESPACES else "namespace"
    return "namespace" if restriction in READ_ONLY else "namespace-cgroup"


def may_trace(restriction, user):
    """yama(7): with 2 it takes CAP_SYS_PTRACE, which an ordinary user has in a user namespace of its own."""
    return restriction != "ptrace_scope=3" and (restriction, user) != ("all-of-these", "user")


class Cell:
    """One restriction for one user on one machine."""

    def __init__(self, directory, specimens):
        self.directory, self.specimens = directory, specimens
        self.restriction, self.user = directory.name.rsplit(".", 1)
        self.status = {name: int(status) for name, status in map(str.split, open(directory / "status"))}
        self.wrong, self.points = [], (0, 0)

    def text(self, name):
        return (self.directory / name).read_text(errors="replace")

    def report(self, name):
        return json.loads(self.text(name + ".json"))

    def check(self, right, what):
        if not right:
            self.wrong.append(what)
        return right

    def ended(self, name, wanted):
        status = self.status.get(name)
        return self.check(status == wanted, f"{name}: status {status}, and not {wanted}")

    def tier(self):
        """The one that the replays had; a weaker one than the strongest says why."""
        reports = self.report("run")["reports"]
        tiers = {report["tier"] for report in reports}
        wanted = expected_tier(self.restriction, self.user)
        self.check(tiers == {wanted}, f"run: tier {', '.join(tiers)}, and not {wanted}")
        if wanted != TIERS[-1]:
            self.check(all(report["tier_notes"] for report in reports), "run: no note on its weaker tier")
            self.check(f"tier {wanted}\n  no " in self.text("run"), "run: it does not say why the tier is weaker")
        return wanted

    def scenarios(self):
        verdicts = collections.Counter(report["verdict"] for report in self.report("run")["reports"])
        self.ended("run", 0)
        self.check(set(verdicts) <= {"clean", "leaked", "hung"}, f"run: {dict(verdicts)}")
        return f"{verdicts.total()} right"

    def refusals(self, tier):
        refused = []
        for name, required in (("require-cgroup", "namespace-cgroup"), ("require-namespace", "namespace")):
            if TIERS.index(tier) >= TIERS.index(required):
                self.ended(name, 0)
                continue
            text = self.text(name)
            self.ended(name, 4)
            self.check(f"tier {required} is required, this run has {tier}\n  " in text, f"{name}: {text!r}")
            refused.append(required)
        return ", ".join(refused) or "none"

    def escapes(self):
        """Each process that a leaking specimen leaves is found with its cause, and no twin's."""
        report = self.report("escapes")["reports"][0]
        firsts = [p["diagnosis"][0]["cause"] if p["diagnosis"] else "none" for p in report["remaining"]]
        causes = collections.Counter(firsts)
        wanted = collections.Counter(self.specimens["leaked"])
        self.ended("escapes", 23)
        self.ended("twins", 0)
        self.check(causes.total() == wanted.total(), f"escapes: {causes.total()} found of {wanted.total()}")
        self.check(report["census"]["complete"], "escapes: the census is not complete")
        without = causes.get("unknown", 0) + causes.get("none", 0)
        if "peers of unix sockets" in self.lacking():  # then who reads its own socket has some other end
            wanted.subtract(["pipe-held-open"])
            wanted.update(["waits-for-peer"])
        if "calls of others" not in self.lacking():
            self.check(causes == wanted, f"escapes: causes {dict(causes - wanted)}, and not {dict(wanted - causes)}")
        return f"{causes.total()} of {wanted.total()}" + (", causes unknown" if without else "")

    def guard_namespace(self, tier):
        if tier == "subreaper":
            text = self.text("guard-namespace")
            self.ended("guard-namespace", 5)
            self.check("tier namespace can't be had here" in text and "sysctl" in text, f"guard-namespace: {text!r}")
            return
        self.ended("guard-namespace", 23)
        report = self.report("guard-namespace")["reports"][0]
        self.check(report["tier"] == "namespace" and len(report["remaining"]) == 1, "guard-namespace: wrong")

    def sweep(self):
        """A sample of `hardened` is clean, and a planted bad point is found."""
        if not may_trace(self.restriction, self.user):
            for name in ("sweep", "planted"):
                self.ended(name, 4)
                self.check("ptrace_scope" in self.text(name), f"{name}: {self.text(name)!r}")
            return "skipped"
        sweep = self.report("sweep")["sweeps"][0]
        coverage = sweep["coverage"]
        found = self.report("planted")["sweeps"][0]["classes"]
        # On a slow machine a call may come in another step than in the recording: then the sweep says so, status 3.
        self.ended("sweep", 0 if coverage["reached"] == coverage["planned"] else 3)
        self.check(coverage["reached"] > 0 and not sweep["classes"], f"sweep: {coverage}, {sweep['classes']}")
        self.ended("planted", 1)
        self.check([c["verdict"] for c in found] == ["leaked"], f"planted: {found}")
        self.points = coverage["reached"], coverage["planned"]
        return "clean, planted found"

    def lacking(self):
        names = re.findall(r"^ {2,4}(\S.*?) +no   ", self.text("doctor"), re.M)
        return [BELOW.get(name, name) for name in names]

    def doctor(self):
        text = " ".join(self.text("doctor").split())
        self.ended("doctor", 0)
        self.ended("why", 0)
        visible = "calls of those not below" not in self.lacking()
        words = "timer: it waits" if visible else "`pidleak doctor` tells what refuses it"
        self.check(words in " ".join(self.text("why").split()), f"why: {self.text('why')!r}")
        for words in DOCTOR.get((self.restriction, self.user), []):
            self.check(words in text, f"doctor: it does not say {words!r}")
        return tuple(self.lacking())

    def row(self):
        tier = self.tier()
        self.guard_namespace(tier)
        return (tier, self.scenarios(), self.escapes(), self.sweep(), self.refusals(tier), self.doctor())


class Machine:
    def __init__(self, directory):
        self.directory = directory
        self.suite, self.cgroup = directory.name.rsplit("-", 1)
        self.kernel = (directory / "kernel").read_text().strip()
        self.name = f"{self.kernel.split('-')[0].split('+')[0]} {self.cgroup}"
        self.wrong = []
        specimens = collections.defaultdict(list)
        self.verdicts = {}
        for line in open(directory / "specimens"):
            name, verdict, causes = re.match(r"(\S+): (\w+) \((.*?)\): ", line).groups()
            specimens[verdict] += causes.split(", ") if causes else []
            self.verdicts[name] = verdict
        self.cells = [Cell(path.parent, specimens) for path in directory.glob("*/status")]
        rows = {(cell.restriction, cell.user): cell.row() for cell in self.cells}
        self.lacks = rows["none", "root"][-1]
        self.rows = {key: self.beside_none(rows, *key) for key in rows}
        for cell in self.cells:
            self.wrong += [f"{cell.directory.name}: {what}" for what in cell.wrong]
        self.each_for_itself = [self.alone(user) for user in USERS]
        left = (directory / "left").read_text()
        self.wrong += [f"left: {line}" for line in left.splitlines()]

    def beside_none(self, rows, restriction, user):
        """The row, with what doctor says no to only here: else the machine's table, or the row of `none`, has it."""
        *row, lacking = rows[restriction, user]
        known = self.lacks
        if restriction != "none":
            known += rows["none", user][-1]
        return (*row, ", ".join(name for name in lacking if name not in known) or "-")

    def alone(self, user):
        """Every scenario with real OOM kills, and every specimen under a guard of its own."""
        cell = next(cell for cell in self.cells if (cell.restriction, cell.user) == ("none", user))
        lines = [line.split() for line in open(cell.directory / "specimens")]
        wanted = {"leaked": "23", "clean": "0", "hung": "124"}  # guard's own, as timeout(1)
        right = [line for line in lines if line[1] == wanted[line[0]]]
        self.wrong += [f"none.{user}: {name} is {verdict}, and the status was {status}"
                       for verdict, status, name in lines if status != wanted[verdict]]
        if {line[2] for line in lines} != set(self.verdicts):
            self.wrong.append(f"none.{user}: {len(lines)} specimens of {len(self.verdicts)}")
        verdicts = collections.Counter(report["verdict"] for report in cell.report("all")["reports"])
        skips = verdicts["skipped"] > 0
        if cell.status["all"] != 0 or (user == "root" and skips) or verdicts["broken"] or verdicts["invalid"]:
            self.wrong.append(f"none.{user}: all: status {cell.status['all']}, {dict(verdicts)}")
        scenarios = f"{verdicts.total() - verdicts['skipped']} of {verdicts.total()}"
        return scenarios, f"{len(right)} of {len(self.verdicts)}"


HEAD = """# Kernels and what they refuse

Made by `ci/kernels`: Debian's kernels in a virtual machine (ci/vm/run) do what ci/vm/restrictions says, and
ci/kernels_table.py judges. Everything is done as root and as an ordinary user.

- Once a machine: all scenarios with real OOM kills (an ordinary user has no memory cgroup for these, and skips them),
  and each specimen under a guard of its own.
- Under each restriction: two scenarios on four presets; one guard around all leaking specimens, which has to find each
  process with its cause, and one around their clean twins; three faults at points of `hardened`, which is clean, and
  one at the bad point of a planted pool; `--require-tier` of each tier, which refuses a weaker run with status 4; and
  what doctor says, which has to name the setting and what to do. What has nothing to do with cgroups is tried on v2
  alone.

A point counts as reached if its call came in the step where the recording had it, which emulation may prevent.

"""


def write(path, machines, notes):
    order = {"none": 0, "ptrace_scope=3": 8, "all-of-these": 9}
    rows = collections.defaultdict(lambda: collections.defaultdict(list))
    for machine in machines:
        for key, row in machine.rows.items():
            rows[key][row].append(machine.name)
    lines = ["| kernel | cgroup | scenarios | specimens | points reached | doctor says no to | wrong |"]
    lines.append("|" + "---|" * 7)
    for machine in machines:
        (all_root, root), (all_user, user) = machine.each_for_itself
        reached, planned = (sum(numbers) for numbers in zip(*(cell.points for cell in machine.cells)))
        lines.append(f"| {machine.kernel} | {machine.cgroup} | {all_root}; user {all_user} | {root}; user {user} |"
                     f" {reached} of {planned} | {', '.join(machine.lacks) or '-'} | {len(machine.wrong)} |")
    lines += [""] + [note + "\n" for note in notes]
    lines.append("| restriction | user | kernels | tier | scenarios | specimens' processes found | sweep |"
                 " --require-tier refuses | doctor says no to as well |")
    lines.append("|" + "---|" * 9)
    for key in sorted(rows, key=lambda key: (order.get(key[0], 1), key)):
        for row, names in rows[key].items():
            where = "all" if len(rows[key]) == 1 else ", ".join(names)
            lines.append("| " + " | ".join((key[0], USERS[key[1]], where) + row) + " |")
    pathlib.Path(path).write_text(HEAD + "\n".join(lines) + "\n")


def main():
    table, *directories = sys.argv[1:]
    machines, skipped, failed = [], [], []
    for directory in map(pathlib.Path, directories):
        if (directory / "skipped").exists():
            skipped.append(f"{directory.name}: {(directory / 'skipped').read_text().strip()}")
        elif not (directory / "job.status").exists():
            failed.append(f"{directory.name}: the machine did not come to its end: {directory}.log")
        else:
            machines.append(Machine(directory))
    write(table, machines, skipped + failed)
    wrong = failed + [f"{machine.name}: {what}" for machine in machines for what in machine.wrong]
    for line in wrong + skipped:
        print(line)
    print(f"{len(machines)} machines, {sum(len(m.cells) for m in machines)} cells, {len(wrong)} wrong; {table}")
    sys.exit(bool(wrong))


main()
