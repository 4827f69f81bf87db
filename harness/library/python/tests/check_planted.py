"""Runs the planted suite under the plugin, and checks that each test is told what it is to be told, and no other is.

Usage: check_planted.py [--rounds N] [--busy] [--python PYTHON] PIDLEAK [pytest's options]
PIDLEAK runs it all under guard: nothing is left, whatever the plugin does. --busy: each CPU has something else to do.
"""
import argparse
import ast
import glob
import os
import subprocess
import sys
import tempfile
from xml.etree import ElementTree

HERE = os.path.dirname(os.path.abspath(__file__))
SUITE = os.path.join(HERE, "planted")


def wanted():
    """For each test function the words that it is to be told; none: nothing."""
    words = {}
    for path in glob.glob(os.path.join(SUITE, "test_*.py")):
        with open(path) as file:
            for node in ast.walk(ast.parse(file.read())):
                if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and node.name.startswith("test_"):
                    is_leak = node.name.startswith("test_leak")
                    words[node.name] = ast.get_docstring(node).split(" | ") if is_leak else []
    return words


def told(path):
    """For each test its function's name, and the texts of its failures and its errors, of which each is a case."""
    tests = {}
    for case in ElementTree.parse(path).iter("testcase"):
        name = case.get("name")
        _, failures, errors = tests.setdefault((case.get("classname"), name), (name.split("[")[0], [], []))
        failures += [element.text or "" for element in case.iter("failure")]
        errors += [element.text or "" for element in case.iter("error")]
    return list(tests.values())


def mistakes(path, words):
    tests = told(path)
    for name, failures, errors in tests:
        text = " ".join("".join(errors).split())
        for word in words[name]:
            if word not in text:
                yield "%s: `%s` is not told, but: %s" % (name, word, "".join(errors) or "nothing")
        if not words[name] and errors:
            yield "%s: falsely accused: %s" % (name, "".join(errors))
        if "failure" in name and (not failures or "the failure of the test itself" not in failures[0]):
            yield "%s: its own failure is hidden" % name
        if "failure" not in name and failures:
            yield "%s: it fails: %s" % (name, failures[0])
    for name in set(words) - {name for name, _, _ in tests}:
        yield "%s: was not run" % name


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("pidleak")
    options, rest = parser.parse_known_args()
    words = wanted()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() if options.busy else 0)]
    wrong = 0
    try:
        for number in range(options.rounds):
            with tempfile.TemporaryDirectory() as scratch:
                path = os.path.join(scratch, "junit.xml")
                command = [options.pidleak, "guard", "--", options.python, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
                command += ["--basetemp", os.path.join(scratch, "pytest"), "--junitxml", path, "--rootdir", SUITE, SUITE] + rest
                run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=550)
                found = list(mistakes(path, words)) if os.path.exists(path) else ["pytest wrote no results"]
                if run.returncode != 1:
                    found.append("guard exits with %d" % run.returncode)
                if found:
                    wrong += 1
                    print("round %d:\n%s\n%s" % (number + 1, "\n".join(found), run.stdout.decode()))
    finally:
        for process in busy:
            process.kill()
            process.wait()
    print("planted: %d tests, right in %d of %d rounds" % (len(words), options.rounds - wrong, options.rounds))
    return wrong != 0


if __name__ == "__main__":
    sys.exit(main())
