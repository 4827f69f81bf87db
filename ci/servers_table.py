"""Writes what servers did to their README: servers_table.py REPORT LEAKS README. What is above the mark stays."""

import collections
import json
import sys
import textwrap
import tomllib

MARK = "<!-- From here on made by ci/servers. -->\n"
WORKERS = {"ended": "idle", "finish": "busy", "never-end": "stuck"}


def fact(report, condition, name=None):
    for evidence in report["evidence"]:
        if evidence["condition"] == condition:
            return evidence["facts"].get(name, "") if name else evidence["text"]
    return ""


def server_of(report):
    return report["pool"]["name"].removeprefix("server:")


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
        server = server_of(report)
        servers[server] = True
        cells[server, report["scenario"], WORKERS[report["conditions"]["tasks"]]].append(report)
    for title, columns in TABLES:
        yield f"\n### {title}\n\n| server | " + " | ".join(name for name, *_ in columns) + " |\n"
        yield "|---" * (len(columns) + 1) + "|\n"
        for server in sorted(servers):
            row = []
            for _, scenario, workers, words in columns:
                found = cells.get((server, scenario, workers))
                if not found and len(columns) == len({name for _, name, *_ in columns}):  # its workers are always busy
                    found = cells.get((server, scenario, "busy"))
                row.append(words(found) if found else "–")
            yield f"| {server} | " + " | ".join(row) + " |\n"


def cell_of(report):
    return f"{report['scenario']} {WORKERS[report['conditions']['tasks']]}"


def is_bold(report):
    """A leak, no end, or a worker that is lost for good."""
    return report["verdict"] in ("leaked", "hung") or fact(report, "replaced", "replaced") == "no"


def what_remains(reports, servers, name):
    """`4W of apache, nginx` in one cell, as often as it was seen."""
    by_count = collections.defaultdict(list)
    for server in servers:
        bold = [r for r in reports if is_bold(r) and server_of(r) == server and cell_of(r) == name]
        if bold:
            how = collections.Counter(count(r) if r["verdict"] != "clean" else "a worker less" for r in bold)
            by_count[how.most_common(1)[0][0]].append(server)
    return "; ".join(f"{how} of {', '.join(found)}" for how, found in by_count.items())


def explained(reports, leaks):
    """What remains, why, what helps; and the leaks that none of them explains."""
    known = {(server, name) for leak in leaks for server in leak["servers"] for name in leak["cells"]}
    for server, name in sorted({(server_of(r), cell_of(r)) for r in reports if is_bold(r)} - known):
        print(f"servers_leaks.toml explains no leak of {server} under {name}", file=sys.stderr)
    for leak in leaks:
        remains = [(name, text) for name in leak["cells"] if (text := what_remains(reports, leak["servers"], name))]
        if not remains:
            print(f"servers_leaks.toml: no replay shows: {leak['title']}", file=sys.stderr)
            continue
        name, text = remains[0]
        paragraph = f"**{leak['title']}.** Remains ({name}): {text}. Why: {leak['why']} Helps: {leak['helps']}"
        if leak["reports"]:
            links = (f"[{'/'.join(url.split('/')[3:5])}#{url.split('/')[-1]}]({url})" for url in leak["reports"])
            paragraph += f" Reported: {', '.join(links)}."
        yield f"\n{textwrap.fill(paragraph, 120, break_long_words=False, break_on_hyphens=False)}\n\n    {leak['command']}\n"


def main(report_path, leaks_path, readme_path):
    with open(report_path) as file:
        reports = json.load(file)["reports"]
    with open(leaks_path, "rb") as file:
        leaks = tomllib.load(file)["leak"]
    with open(readme_path) as file:
        guide = file.read().split(MARK)[0]
    a_cell = collections.Counter((r["pool"]["name"], r["scenario"], r["conditions"]["tasks"]) for r in reports)
    minutes = sum(report["durations_ms"]["total"] for report in reports) / 60000
    text = guide + MARK + "\n## What they do\n\n"
    text += (f"{len(reports)} replays, {min(a_cell.values())} a cell, {minutes:.0f} minutes of replays, side by side. "
             "M is the master, W a worker, Z a zombie. Bold: a leak, or no end.\n")
    text += "".join(tables(reports))
    text += "\n## What remains, why, and what helps\n" + "".join(explained(reports, leaks))
    with open(readme_path, "w") as file:
        file.write(text)


main(*sys.argv[1:])
