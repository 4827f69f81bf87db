#!/usr/bin/env python3
"""What ci/soak came to, as Markdown. Usage: ci/soak_table.py DIRECTORY

Reads NAME-SEED.json of pidleak soak and `kills` of ci/kill_at_random.py. Status 1: a replay was not as expected, two
soaks of the same name disagree, or something was left after a kill. Two agree where each cell that both have came to
the same outcomes; of a pool whose outcome is a race, and of which nothing is recorded, to some that are the same.
"""
import json
import pathlib
import sys


def key_of(cell):
    return cell["scenario"], cell["pool"], cell["workers"], json.dumps(cell["conditions"], sort_keys=True)


def outcomes_of(cell):
    return {(one["verdict"], one["live"], one["zombies"]) for one in cell["outcomes"]}


def words(cell):
    return f"{cell['scenario']} on {cell['pool']} with {cell['conditions']['start-method']}"


def disagreements(one, other):
    others = {key_of(cell): cell for cell in other["cells"]}
    for cell in one["cells"]:
        if twin := others.get(key_of(cell)):
            here, there = outcomes_of(cell), outcomes_of(twin)
            if here != there if cell["is_recorded"] else not here & there:
                yield f"{words(cell)}: {sorted(here)} and {sorted(there)}"


def main(directory):
    soaks = {path.stem: json.loads(path.read_text())["soak"] for path in sorted(directory.glob("*-*.json"))}
    wrong = 0
    print("| | replays | cells | seconds | beside | not as expected |\n|---|---|---|---|---|---|")
    for name, soak in soaks.items():
        wrong += soak["deviating"]
        print(f"| {name.replace('-', ', seed ')} | {soak['replays']:,} | {len(soak['cells'])} | {soak['seconds']:,.0f} "
              f"| {' '.join(soak['load'])} | {soak['deviating']} |")
    for first in [name for name in soaks if name.endswith("-1")]:
        second = first[:-1] + "2"
        differ = list(disagreements(soaks[first], soaks[second]))
        wrong += len(differ)
        print(f"\nTwo soaks of {first[:-2]}: " + ("all cells agree." if not differ else "these differ:"))
        for line in differ:
            print(f"- {line}")
    kills = directory / "kills"
    if kills.exists():
        print("\n| SIGKILL at random moments of | kills | left |\n|---|---|---|")
        for row in map(json.loads, kills.read_text().splitlines()):
            wrong += row["left"]
            print(f"| {row['victim']} | {row['kills']:,} | {row['left']} |")
    return 1 if wrong else 0


if len(sys.argv) != 2:
    sys.exit(__doc__)
sys.exit(main(pathlib.Path(sys.argv[1])))
