#!/usr/bin/env python3
"""How pidleak report merge stands many shards: makes their documents, merges them, and tells time and peak of memory.

Usage: ci/merge_shards.py PIDLEAK [SHARDS [REPLAYS]], by default 1,000 of 10,000 each, which takes some 25 GB of $TMPDIR
for as long as it runs. Status 1: the merge did not succeed, or needed more than 256 MiB.
"""
import json
import os
import subprocess
import sys
import tempfile
import time

MASK = (1 << 64) - 1
MOST_MIB = 256


def stable_hash(text):  # as harness/base/stable_hash.cpp
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = (value ^ byte) * 0x100000001B3 & MASK
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        value = (value ^ (value >> 33)) * factor & MASK
    return value ^ (value >> 33)


def cell_name(report):  # as reports/shard.cpp
    conditions = "".join(f"{name}={word}\n" for name, word in sorted(report["conditions"].items()))
    return f"{report['scenario']}\n{report['pool']['name']}\n{report['pool']['workers']}\n{conditions}"


def main():
    pidleak = sys.argv[1]
    shards, replays = (int(argument) for argument in (sys.argv[2:] + ["1000", "10000"][len(sys.argv) - 2 :])[:2])
    cells = max(1, replays // 100)
    repeat = replays // cells
    with tempfile.TemporaryDirectory() as directory:
        sample = os.path.join(directory, "sample")
        subprocess.run([pidleak, "run", "lifetime", "--pool", "hardened", "--shard", "1/1", "--report", sample], check=True,
                       stdout=subprocess.DEVNULL)
        with open(sample) as file:
            report = json.load(file)["reports"][0]
        pools = [[] for _ in range(shards)]
        number = 0
        while any(len(names) < cells for names in pools):
            report["pool"]["name"] = f"pool-{number}"
            names = pools[stable_hash(cell_name(report)) % shards]
            if len(names) < cells:
                names.append(report["pool"]["name"])
            number += 1
        files, size = [], 0
        for index in range(shards):
            head = {"index": index + 1, "count": shards, "by": "--shard", "verb": "run", "plan": "0" * 16,
                    "version": report["tool"]["version"], "cells": cells, "repeat": repeat, "replays": cells * repeat,
                    "machine": f"node{index % 20}", "kernel": report["machine"]["kernel"], "distribution": "Debian"}
            files.append(os.path.join(directory, f"{index}.json"))
            elements = []
            for name in pools[index]:
                report["pool"]["name"] = name
                elements.append(json.dumps(report, separators=(",", ":")))
            text = ",\n".join(elements)
            with open(files[-1], "w") as file:
                file.write('{"schema_version": %d,\n"shard": %s,\n"reports": [\n' % (report["schema_version"], json.dumps(head)))
                for round_ in range(repeat):
                    file.write((",\n" if round_ else "") + text)
                file.write("\n]}\n")
            size += os.path.getsize(files[-1])
        started = time.monotonic()
        merge = subprocess.Popen([pidleak, "report", "merge", *files, "-o", "/dev/null"])
        _, status, usage = os.wait4(merge.pid, 0)
        took = time.monotonic() - started
        peak = usage.ru_maxrss / 1024
        print(f"{shards} shards of {cells * repeat} replays, {size / 1e9:.2f} GB: {took:.0f} s, {took / size * 1e9:.1f} s a GB, "
              f"peak {peak:.0f} MiB")
        sys.exit(1 if status != 0 or peak > MOST_MIB else 0)


if __name__ == "__main__":
    main()
