"""Writes what servers did to their README: servers_table.py REPORT README. What is above the mark stays."""

import collections
import json
import sys

MARK = "<!-- From here on made by ci/servers. -->\n"
WORKERS = {"ended": "idle", "finish": "busy", "never-end": "stuck"}


def fact(report, condition, name=None):
    for evidence in report["evidence"]:
        if evidence["condition"] == condition:
            return evidence["facts"].get(name, "") if name else evidence["text"]
    return ""


def count(report):
    live, zombies = report["counts"]["live"], report["counts"]["zombies"]
    text = ("M+" if report["owner"] else "") + f"{live}W"
    return text + (f" {zombies}Z" if zombies else "")


def seconds(report):
    """How long after the last thing that was done to it the last of its processes left."""
    last = [e["facts"] for e in report["evidence"] if e["condition"] == "left"][-1:]
    times = [float(value) for name, value in (last[0] if last else {}).items() if name.endswith(" s")]
    return max(times, default=0)


def outcome(report):
    verdict = report["verdict"]
    if verdict not in ("clean", "leaked", "hung"):
        return verdict
    held = fact(report, "held-up", "workers")
    if held:
        held = ("M+" if fact(report, "held-up", "master") == "1" else "") + f"{held}W"
        held = "" if held == "0W" else f"{held} until released, then "
    text = "clean" if verdict == "clean" else f"**{verdict} {count(report)}**"
    return held + text


def cell(reports):
    """What came of the replays of one scenario on one server; several outcomes with how often each came."""
    outcomes = collections.Counter(outcome(report) for report in reports)
    texts = [text if len(outcomes) == 1 else f"{times}× {text}" for text, times in outcomes.most_common()]
    clean = [seconds(report) for report in reports if report["verdict"] == "clean"]
    late = f", {max(clean):.0f} s" if len(clean) == len(reports) and clean and max(clean) >= 1 else ""
    dropped = {fact(report, "request", "request") for report in reports} == {"dropped"}
    return "; ".join(texts) + late + (", dropped" if dropped else "")


def started_again(reports):
    """What a supervisor would have seen."""
    words = collections.Counter()
    for report in reports:
        up = "works" if fact(report, "started-again", "up") == "yes" else "**fails**"
        beside = report["counts"]["live"]
        words[up if report["verdict"] == "clean" else f"{up}, {beside} from before"] += 1
    return "; ".join(word if len(words) == 1 else f"{times}× {word}" for word, times in words.most_common())


def after_death(reports):
    """Of a worker: replaced, a zombie; and what a stop did afterwards."""
    words = collections.Counter()
    for report in reports:
        how = "replaced" if fact(report, "replaced", "replaced") == "yes" else "**not replaced**"
        how += ", **zombie**" if fact(report, "replaced", "zombie") == "yes" else ""
        words[how if report["verdict"] != "skipped" else "–"] += 1
    if set(words) == {"–"}:
        return "–"
    return "; ".join(word for word, _ in words.most_common()) + "; then " + cell(reports)


def notices(reports):
    words = collections.Counter(fact(report, "notices", "how") or "–" for report in reports)
    return ", ".join(word for word, _ in words.most_common())


TABLES = [
    ("Asked to stop", [("idle", "graceful-stop", "idle", cell), ("one worker busy", "graceful-stop", "busy", cell),
                       ("never released", "graceful-stop", "stuck", cell),
                       ("SIGKILL of the master after the grace", "kubelet-stop", "stuck", cell)]),
    ("Its master killed", [("idle", "owner-killed", "idle", cell), ("one worker busy", "owner-killed", "busy", cell),
                           ("a worker notices by", "owner-killed", "idle", notices),
                           ("started again", "restart-after-kill", "idle", started_again),
                           ("the same, one worker busy", "restart-after-kill", "busy", started_again)]),
    ("A worker lost, signals, PID 1", [("a worker OOM-killed", "worker-oom-killed", "busy", after_death),
                                       ("a worker killed", "worker-killed", "idle", after_death),
                                       ("SIGTERM ignored at its start", "sigterm-ignored-at-start", "idle", cell),
                                       ("SIGTERM blocked at its start", "sigterm-blocked-at-start", "idle", cell),
                                       ("as PID 1", "as-pid-1", "idle", cell)]),
]


def tables(reports):
    cells = collections.defaultdict(list)
    servers = {}
    for report in reports:
        server = report["pool"]["name"].removeprefix("server:")
        servers[server] = True
        cells[server, report["scenario"], WORKERS[report["conditions"]["tasks"]]].append(report)
    for title, columns in TABLES:
        yield f"\n### {title}\n\n| server | " + " | ".join(name for name, *_ in columns) + " |\n"
        yield "|---" * (len(columns) + 1) + "|\n"
        for server in sorted(servers):
            row = []
            for _, scenario, workers, words in columns:
                found = cells.get((server, scenario, workers))
                row.append(words(found) if found else "–")
            yield f"| {server} | " + " | ".join(row) + " |\n"


def main(report_path, readme_path):
    with open(report_path) as file:
        reports = json.load(file)["reports"]
    with open(readme_path) as file:
        guide = file.read().split(MARK)[0]
    a_cell = collections.Counter((r["pool"]["name"], r["scenario"], r["conditions"]["tasks"]) for r in reports)
    hours = sum(report["durations_ms"]["total"] for report in reports) / 60000
    text = guide + MARK + "\n## What they do\n\n"
    text += (f"{len(reports)} replays, {min(a_cell.values())} a cell, {hours:.0f} minutes of replays, side by side. "
             "M is the master, W a worker, Z a zombie. Bold: a leak, or no end.\n")
    text += "".join(tables(reports))
    with open(readme_path, "w") as file:
        file.write(text)


main(*sys.argv[1:])
