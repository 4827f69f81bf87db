"""The plugin's options and its company: each in a pytest of its own."""
import pytest

pytest_plugins = ["pytester"]

# What the inner pytest leaves as it is told to, the outer one ends.
leaves = pytest.mark.pidleak("warn")

LEAK = """
import subprocess

kept = []


def test_leaves():
    kept.append(subprocess.Popen(["sleep", "600"]))
"""


@pytest.fixture
def run(pytester):
    """Runs pytest with the plugin on the files that are there."""

    def run(*arguments, **files):
        pytester.makepyfile(**files)
        pytester.makeini("[pytest]\npidleak_grace = 0.2\n")
        return pytester.runpytest_subprocess("-p", "no:cacheprovider", *arguments, timeout=120)

    return run


@leaves
@pytest.mark.parametrize("arguments, outcomes", [
    ([], {"passed": 1, "errors": 1}),
    (["--pidleak", "warn"], {"passed": 1, "warnings": 1}),
    (["--pidleak", "off"], {"passed": 1}),
])  # fmt: skip
def test_modes(run, arguments, outcomes):
    result = run(*arguments, test_it=LEAK)
    result.assert_outcomes(**outcomes)
    told = "*test_it.py::test_leaves: a process remains*"
    if "off" in arguments:
        result.stdout.no_fnmatch_line(told)
    else:
        result.stdout.fnmatch_lines([told, "*created by pytest (pid *) at test_it.py:* in test_leaves"])


@leaves
@pytest.mark.parametrize("marker, outcomes", [
    ('"off"', {"passed": 1}),
    ('"warn"', {"passed": 1, "warnings": 1}),
    ('suppressions=[{"comm": "sleep", "reason": "known"}]', {"passed": 1}),
    ('suppressions=[{"comm": "other", "reason": "known"}]', {"passed": 1, "errors": 1}),
    ("grace=0", {"passed": 1, "errors": 1}),
])  # fmt: skip
def test_markers(run, marker, outcomes):
    source = LEAK.replace("def test", "@pytest.mark.pidleak(%s)\ndef test" % marker).replace("import", "import pytest, ", 1)
    run("--strict-markers", test_it=source).assert_outcomes(**outcomes)


@pytest.mark.parametrize("arguments, text", [
    (["--pidleak", "often"], "*pidleak: 'often' is not fail, warn or off*"),
    (["--pidleak-grace", "-1"], "*pidleak_grace: '-1' is not seconds*"),
    (["--pidleak-scope", "class"], "*pidleak_scope: 'class' is not test, module or session*"),
    (["--pidleak-suppressions", "none.json"], "*none.json: No such file*"),
    (["--pidleak-suppressions", "test_it.py"], "*options.suppressions*"),
    (["--pidleak-suppressions", "latin1.json"], "*latin1.json: *can't decode byte*"),
])  # fmt: skip
def test_wrong_options_are_refused(run, pytester, arguments, text):
    pytester.path.joinpath("latin1.json").write_bytes(b"\xff")
    result = run(*arguments, test_it=LEAK)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([text])


@pytest.mark.parametrize("marker, text", [
    ("often=1", "@pytest.mark.pidleak: *often*"),
    ('"often"', "@pytest.mark.pidleak: 'often' is not fail, warn or off"),
    ('suppressions="known.json"', "*suppressions: 'known.json' is not a list of rules"),
    ('suppressions=[{"comm": b"sleep", "reason": "known"}]', "*suppressions: *bytes*"),
    ('suppressions=[{"comm": "sleep"}]', '*"reason" is missing*'),
])  # fmt: skip
def test_a_marker_with_mistakes_is_told_with_its_test(run, marker, text):
    result = run(test_it=LEAK.replace("def test", "@pytest.mark.pidleak(%s)\ndef test" % marker).replace("import", "import pytest, ", 1))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["test_it.py::test_leaves: " + text])
    result.stdout.no_fnmatch_line("*Error: *")


@leaves
def test_warnings_that_are_errors_fail_the_test(run):
    result = run("--pidleak", "warn", "-W", "error", test_it=LEAK)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*test_it.py::test_leaves: a process remains*"])


def test_the_summary_has_the_reason(run):
    for arguments in ([], ["-n", "1"]):
        if arguments:
            pytest.importorskip("xdist")
        run(*arguments, test_it=LEAK).stdout.fnmatch_lines(["ERROR test_it.py::test_leaves - pidleak: a process remains"])


@leaves
def test_a_file_of_suppressions(run, pytester):
    pytester.makefile(".json", known='{"suppressions": [{"command_line": "sleep 6*", "reason": "known"}]}')
    run("--pidleak-suppressions", "known.json", test_it=LEAK).assert_outcomes(passed=1)


def test_scopes(run):
    tests = "import subprocess\nkept = []\ndef test_starts(): kept.append(subprocess.Popen(['sleep', '600']))\n" \
        "def test_ends():\n    with kept.pop() as p: p.kill()\n"
    run(test_it=tests).assert_outcomes(passed=2, errors=1)
    run("--pidleak-scope", "module", test_it=tests).assert_outcomes(passed=2)
    result = run("--pidleak-scope", "module", test_it=LEAK, test_other="def test_other(): pass")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_leaves*", "*pidleak: test_it.py: a process remains*"])
    result = run("--pidleak-scope", "session", test_it=LEAK, test_other="def test_other(): pass")
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_other*", "*pidleak: the session: a process remains*"])


def test_a_fixture_of_the_session_is_told_with_the_last_test(run):
    result = run(test_it="""
        import pytest, subprocess

        @pytest.fixture(scope="session")
        def server():
            return subprocess.Popen(["sleep", "600"])

        def test_one(server): pass
        def test_two(server): pass
    """)
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_two*", "*the fixture server (session): a process remains*"])


@pytest.mark.parametrize("value", ["make", "functools.partial(make, 600)", "Maker().make"])
def test_what_a_factory_of_the_session_starts_is_the_fixtures(run, value):
    source = """
        import functools, pytest, subprocess

        @pytest.fixture(scope="session")
        def factory():
            made = []
            def make(*unused):
                made.append(subprocess.Popen(["sleep", "600"]))
            class Maker:
                def make(self): make()
            yield %s
            for process in made:
                process.kill()
                process.wait()

        def test_one(factory): factory()
        def test_two(factory): factory()
    """ % value  # fmt: skip
    run(test_it=source).assert_outcomes(passed=2)
    result = run(test_it=source.replace("process.kill", "print").replace("process.wait", "print"))
    result.assert_outcomes(passed=2, errors=1)
    result.stdout.fnmatch_lines(["*ERROR at teardown of test_two*", "*the fixture factory (session): 2 processes remain*"])


def test_what_threads_of_a_fixture_start_is_the_fixtures(run):
    result = run(test_it="""
        import multiprocessing, pytest, subprocess, threading

        @pytest.fixture(scope="module")
        def pool():
            with multiprocessing.Pool(2, maxtasksperchild=1) as pool:  # a thread of its replaces the workers
                yield pool

        @pytest.fixture(scope="module")
        def serve():
            asked, served, over = threading.Event(), threading.Event(), threading.Event()
            def run():
                asked.wait()
                with subprocess.Popen(["sleep", "600"]) as process:
                    served.set()
                    over.wait()
                    process.kill()
            thread = threading.Thread(target=run)
            thread.start()
            yield asked, served
            asked.set()
            over.set()
            thread.join()

        @pytest.mark.parametrize("number", range(3))
        def test_pool(pool, number): assert pool.map(int, "123") == [1, 2, 3]

        def test_serve(serve):
            serve[0].set()
            serve[1].wait()

        def test_more(): pass
    """)
    result.assert_outcomes(passed=5)


def test_set_ups_of_classes_have_their_own_names(run):
    leaves = "import subprocess, unittest\ndef leave(cls): cls.left = subprocess.Popen(['sleep', '600'])\n"
    for base, name in (("", "setup_class"), ("(unittest.TestCase)", "setUpClass")):
        source = leaves + "class TestIt%s:\n    %s = classmethod(leave)\n    def test_it(self): pass\n" % (base, name)
        run(test_it=source).stdout.fnmatch_lines(["pidleak: %s of TestIt: a process remains" % name])


def test_lines_are_told_wherever_a_test_has_gone(run):
    result = run("--doctest-modules", test_it="""
        import os, subprocess
        kept = []

        def leave():
            '''
            >>> kept.append(subprocess.Popen(["sleep", "600"]))
            '''

        def test_goes(tmp_path):
            os.chdir(tmp_path)
            tmp_path.rmdir()
            kept.append(subprocess.Popen(["sleep", "600"], cwd="/"))
    """)
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines([
        "*created by pytest * at <doctest test_it.leave?0?>:1 in <module>", "*kept.append(subprocess.Popen(*",
        "*created by pytest * at test_it.py:12 in test_goes",
    ])  # fmt: skip


def test_helpers_may_be_counted(run):
    source = """
        import multiprocessing

        def test_it():
            process = multiprocessing.get_context("spawn").Process(target=print)
            process.start()
            process.join()
    """
    run(test_it=source).assert_outcomes(passed=1)
    result = run("--pidleak-helpers", "count", test_it=source)
    result.assert_outcomes(passed=1, errors=1)
    result.stdout.fnmatch_lines(["*multiprocessing.resource_tracker*"])


@leaves
def test_what_outlived_pytest_is_told(run):
    source = "import subprocess\nleft = subprocess.Popen(['sleep', '600'])\ndef test_it(): pass\n"
    for arguments in ([], ["-n", "2"]):
        if arguments:
            pytest.importorskip("xdist")
        result = run(*arguments, test_it=source)
        result.assert_outcomes(passed=1)
        result.stdout.fnmatch_lines(["*what outlived the tests*", "*sleep 600", "*created by pytest * at test_it.py:2 in *"])


def test_an_interrupted_session_tells_of_its_last_module(run):
    result = run("-x", "--pidleak-scope", "module", test_it=LEAK + "def test_fails(): assert False\ndef test_more(): pass\n")
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*pidleak: test_it.py: a process remains*"])


def test_reruns(run):
    pytest.importorskip("pytest_rerunfailures")
    result = run("--reruns", "1", test_it=LEAK.replace("    kept", "    if not kept:\n        kept"))
    result.assert_outcomes(passed=2)  # its call, twice: it was the first teardown that failed
    result.stdout.fnmatch_lines(["*1 rerun*"])


def test_timeouts(run):
    pytest.importorskip("pytest_timeout")
    result = run("--timeout", "1", test_it="import subprocess\ndef test_hangs(): subprocess.Popen(['sleep', '600']).wait()")
    result.assert_outcomes(failed=1, errors=1)
    result.stdout.fnmatch_lines(["*Timeout >1.0s*"])
    result.stdout.fnmatch_lines(["*test_it.py::test_hangs: a process remains*"])


def test_asyncio(run):
    pytest.importorskip("pytest_asyncio")
    run("--asyncio-mode", "auto", test_it="""
        import asyncio

        async def test_leaves(): await asyncio.create_subprocess_exec("sleep", "600")
        async def test_clean(): await (await asyncio.create_subprocess_exec("true")).wait()
    """).assert_outcomes(passed=2, errors=1)


def test_a_fork_of_pytest_that_goes_on_does_nothing(run):
    run(test_it="""
        import os

        def test_forks():
            if os.fork() == 0:
                return
            os.wait()
    """).assert_outcomes(passed=1)


def test_elsewhere_it_says_once_that_it_does_nothing(run, pytester):
    pytester.makepyfile(elsewhere="import sys\nsys.platform = 'darwin'\n")
    result = run("-p", "elsewhere", test_it=LEAK.replace("600", "1"))
    result.assert_outcomes(passed=1)
    assert result.stdout.str().count("nothing is checked: processes are only looked at on Linux") == 1
