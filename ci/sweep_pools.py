"""Sweeps real pools and keeps what came out in scenarios/swept_pools.json, in words that do not depend on an index: a
change in either direction shows as a difference of that file. Called by ci/sweep pools.

    ci/sweep pools                          every pool that the file has
    ci/sweep pools python:3.12.1/fork ...   these alone
    ci/sweep pools python:3.12.1/spawn/do-tasks,shut-down
                                            their points in these steps alone: before its first task, a worker that is
                                            spawned makes ten thousand calls, most of them for its imports
"""

import datetime
import json
import os
import subprocess
import sys

SOURCE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
RECORDS = os.path.join(SOURCE, "scenarios", "swept_pools.json")
PIDLEAK = os.path.join(SOURCE, "build", "release", "bin", "pidleak")


def first_replays(document):
    """The first failing replay of each point: what was called there, and who remained."""
    first = {}
    for report in document["reports"]:
        fault = report.get("point_fault")
        if fault and fault["reached"] and report["verdict"] in ("leaked", "hung"):
            first.setdefault((fault["point"], fault["fault"]), report)
    return first


def cause_of(report):
    processes = report["remaining"] + ([report["owner"]] if report.get("owner") else [])
    return next((p["diagnosis"][0]["cause"] for p in processes if p["diagnosis"]), "none")


def where(report):
    call, _, lock = report["point_fault"]["call"].partition(", with ")
    if lock:
        return f"with {lock}"
    return f"at {call.partition(' of ')[2]}" if call.endswith("'s lock") else "elsewhere"


def in_words(document):
    """Where a fault leaves what: with which lock in hand, not in which call, of which there are too many. How often, in
    how many points, and the first of them."""
    swept, replays, rows = document["sweeps"][0], first_replays(document), {}
    reached = {(p["point"], p["fault"]): p["reached"] for p in swept["points"]}
    for one in swept["classes"]:
        for point in one["points"]:
            place = (point["point"], one["fault"])
            first = replays[place]
            what = (one["fault"], point["point"].split(":")[0], where(first), first["verdict"], cause_of(first))
            row = rows.setdefault(what, {"points": 0, "failed": 0, "reached": 0, "first": point["point"]})
            row["points"] += 1
            row["failed"] += point["failed"]
            row["reached"] += reached[place]
    return [dict(zip(("fault", "role", "where", "verdict", "cause"), what), **row) for what, row in sorted(rows.items())]


def sweep(pool, method, steps):
    report = os.path.join(SOURCE, "build", "reports", "sweep-of-a-pool.json")
    subprocess.run([PIDLEAK, "sweep", "--pool", pool, "--start-method", method, "--jobs", str(os.cpu_count()),
                    "--report", report, *(["--steps", steps] if steps else [])], stdout=subprocess.DEVNULL, check=False)
    with open(report) as file:
        document = json.load(file)
    os.unlink(report)
    version = next((r["pool"]["version"] for r in document["reports"] if r["pool"]["version"]), "")
    return {"pool": pool, "version": version, "start_method": method, "date": datetime.date.today().isoformat(),
            **({"steps": steps} if steps else {}), "coverage": document["sweeps"][0]["coverage"], "classes": in_words(document)}


def main():
    with open(RECORDS) as file:
        records = json.load(file)
    wanted = sys.argv[1:] or [f"{r['pool']}/{r['start_method']}/{r.get('steps', '')}" for r in records["swept"]]
    for number, name in enumerate(wanted, 1):
        pool, method, steps = (name.split("/") + ["", ""])[:3]
        method = method or "fork"
        print(f"ci/sweep pools: {number} of {len(wanted)}: {pool} with {method}", file=sys.stderr, flush=True)
        record = sweep(pool, method, steps)
        kept = [r for r in records["swept"] if (r["pool"], r["start_method"]) != (record["pool"], record["start_method"])]
        records["swept"] = sorted(kept + [record], key=lambda r: (r["pool"], r["start_method"]))
        with open(RECORDS + ".new", "w") as file:
            json.dump(records, file, indent=1)
            file.write("\n")
        os.rename(RECORDS + ".new", RECORDS)


main()
