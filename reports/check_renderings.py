#!/usr/bin/env python3
"""Has others read what pidleak renders: Python's XML parser and, if there, xmllint and junitparser for JUnit; Python's
JSON parser, the documented rules of the Trace Event Format, and speedscope in Chromium, if there, for the trace.

Usage: [JUNIT_XSD=FILE] [SPEEDSCOPE=DIRECTORY of the npm package] check_renderings.py PIDLEAK REPORT.json...
Exit status 0: all well, 1: something is wrong (told on stderr).
"""
import base64
import collections
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as xml


def check(holds, what):
    if not holds:
        raise AssertionError(what)


def check_junit(path, reports):
    root = xml.parse(path).getroot()
    check(root.tag == "testsuites", "the root is not testsuites")
    suites = root.findall("testsuite")
    check(len(suites) == len({report["scenario"] for report in reports}), "suites are not one for each scenario")
    for group in [root, *suites]:
        cases = list(group.iter("testcase"))
        for attribute, element in [("failures", "failure"), ("errors", "error"), ("skipped", "skipped")]:
            found = sum(case.find(element) is not None for case in cases)
            check(int(group.get(attribute, found)) == found, f"{attribute} is not {found}")
        check(int(group.get("tests")) == len(cases), "tests")
        seconds = sum(float(case.get("time")) for case in cases)
        check(abs(float(group.get("time")) - seconds) < 0.001 * (len(cases) + 1), "time")
    names = [(c.get("classname"), c.get("name")) for c in root.iter("testcase")]
    check(len(set(names)) == len(names) == len(reports), "test cases are not one for each report")
    if shutil.which("xmllint"):
        schema = os.environ.get("JUNIT_XSD")  # Jenkins's junit-10.xsd, if the machine has it
        subprocess.run(["xmllint", "--noout", *(["--schema", schema] if schema else []), path], check=True)
    else:
        print("not asked, as it is not there: xmllint")
    try:
        import junitparser
    except ImportError:
        print("not asked, as it is not there: junitparser")
        return
    read = junitparser.JUnitXml.fromfile(str(path))
    counts = [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in read]
    read.update_statistics()  # counts for itself
    check(counts == [(suite.tests, suite.failures, suite.errors, suite.skipped) for suite in read], "junitparser")


def check_nesting(spans):
    """Complete events of one thread may hold each other, but not overlap."""
    open_until = []
    for start, length in sorted(spans, key=lambda span: (span[0], -span[1])):
        while open_until and open_until[-1] <= start:
            open_until.pop()
        check(not open_until or start + length <= open_until[-1], f"the span at {start} overlaps another")
        open_until.append(start + length)


def check_trace(path, reports):
    events = json.loads(path.read_text())["traceEvents"]
    threads = collections.defaultdict(list)
    named = collections.Counter()
    for event in events:
        for member, kind in [("ph", str), ("ts", int), ("pid", int), ("tid", int), ("name", str)]:
            check(type(event.get(member)) is kind, f"{member} of {event}")
        check(event["ph"] in "XiM" and event["ts"] >= 0, f"ph or ts of {event}")
        if event["ph"] == "X":
            check(type(event["dur"]) is int and event["dur"] >= 0, f"dur of {event}")
            threads[event["pid"], event["tid"]].append((event["ts"], event["dur"]))
        elif event["ph"] == "i":
            check(event["s"] in ("t", "p", "g"), f"scope of {event}")
        else:
            named[event["pid"], event["name"]] += 1
    for spans in threads.values():
        check_nesting(spans)
    pids = {event["pid"] for event in events}
    for pid in pids:
        for name in ("process_name", "process_sort_index", "thread_name"):
            check(named[pid, name] == 1, f"process {pid} has {named[pid, name]} times {name}")
    expected = sum(1 + (r["lives"] is not None) + len({e["pid"] for e in r["timeline"] if e["pid"]} | {p["pid"] for p in r["remaining"]})
                   for r in reports)
    check(len(pids) == expected, f"{len(pids)} tracks, not {expected}")


def run_chromium(profile, url):
    """The page as it is once its scripts have run, and what they said to the console."""
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
               "--disable-background-networking", "--disable-component-update", "--disable-sync",
               "--allow-file-access-from-files", f"--user-data-dir={profile}", "--virtual-time-budget=8000",
               "--enable-logging=stderr", "--v=0", "--dump-dom", url]
    browser = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                               start_new_session=True)
    try:
        return browser.communicate(timeout=60)
    finally:
        try:
            os.killpg(browser.pid, signal.SIGKILL)  # its helpers are in its group
        except ProcessLookupError:
            pass


def check_trace_with_speedscope(directory, path):
    """speedscope reads the Trace Event Format as Perfetto does, and lists every track by its name."""
    speedscope = pathlib.Path(os.environ.get("SPEEDSCOPE", ""), "dist", "release", "index.html").absolute()
    if not speedscope.exists() or not shutil.which("chromium"):
        print("not asked, as it is not there: speedscope, or chromium")
        return
    script = pathlib.Path(directory, "profile.js")
    encoded = base64.b64encode(path.read_bytes()).decode()
    script.write_text(f"speedscope.loadFileFromBase64('trace.json', '{encoded}')")
    page, said = run_chromium(pathlib.Path(directory, "profile"), f"{speedscope.as_uri()}#localProfilePath={script}")
    check("Importing as Trace Event Format" in said, f"speedscope: {said[-2000:]}")
    names = [e["args"]["name"] for e in json.loads(path.read_text())["traceEvents"] if e["name"] == "process_name"]
    check(names, "speedscope was given no track")
    spans = {e["pid"] for e in json.loads(path.read_text())["traceEvents"] if e["ph"] == "X"}
    listed = page.count("(tid ")
    check(listed >= len(spans), f"speedscope lists {listed} tracks of {len(spans)}")


def main(pidleak, *paths):
    with tempfile.TemporaryDirectory() as directory:
        for path in paths:
            reports = json.loads(pathlib.Path(path).read_text())["reports"]
            junit, trace = pathlib.Path(directory, "junit.xml"), pathlib.Path(directory, "trace.json")
            subprocess.run([pidleak, "report", path, "--junit", junit, "--trace", trace], check=True)
            check_junit(junit, reports)
            check_trace(trace, reports)
            check_trace_with_speedscope(directory, trace)
            print(f"{path}: {len(reports)} reports")


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except (AssertionError, xml.ParseError, KeyError, ValueError, subprocess.CalledProcessError, OSError) as error:
        sys.exit(f"check_renderings: {type(error).__name__}: {error}")
