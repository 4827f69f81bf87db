"""What ci/benchmark measures: each function gives a table, a plot, and the ratios that --against compares, of which less
is better."""
import ctypes
import glob
import json
import os
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import benchmark_plots as plots

TRUE = shutil.which("true")
NOTHING, TINI, GUARD = "nothing", "tini -s", "pidleak guard"
GUARDS = {
    NOTHING: [TRUE],
    TINI: ["tini", "-s", "--", TRUE],
    "dumb-init": ["dumb-init", TRUE],
    "unshare --pid --fork --kill-child": ["unshare", "--pid", "--fork", "--kill-child", TRUE],
    GUARD: ["pidleak", "guard", "--", TRUE],
    "pidleak guard --tier namespace": ["pidleak", "guard", "--tier", "namespace", "--", TRUE],
}
TOOLS = ["census", "psutil", "ps"]
NAMESPACE = "namespace"  # the census by the init of one
DESCENDANTS = [5, 100, 1000]
UNRELATED = [0, 100, 5000]
PROMISED_TO_PSUTIL = 500  # times faster, of 5 descendants beside 5,000 others
PROMISED_GROWTH = 1.2  # from no others to 5,000: nothing but noise
PROMISED_TO_TINI = 1.05  # of `pidleak guard -- true`: no more, but for noise


def fail(why):
    sys.exit(f"ci/benchmark: {why}")


def tell(what):
    print(f"ci/benchmark: {what}", file=sys.stderr, flush=True)


def program(directory, name):
    path = os.path.abspath(os.path.join(directory, name))
    if not os.access(path, os.X_OK):
        fail(f"{path} is not there: ci/setup installs what it needs, `ci/build release` builds it")
    return path


def as_table(head, rows):
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows]) + "\n"


def times(ratio):
    return f"{ratio:,.0f}" if ratio >= 100 else f"{ratio:.3g}" if ratio >= 10 else f"{ratio:.2f}"


# --- guard -----------------------------------------------------------------------------------------------------------


def run_ms(command, output=1, input=0):
    start = time.perf_counter()
    streams = [(os.POSIX_SPAWN_DUP2, input, 0), (os.POSIX_SPAWN_DUP2, output, 1)]
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=streams)
    _, status = os.waitpid(pid, 0)
    if status != 0:
        fail(f"{' '.join(command)}: wait status {status}")
    return (time.perf_counter() - start) * 1000


def measure_guards(options, wanted=tuple(GUARDS)):
    """The median of each of the wanted that is there. Every round runs each once, in an order that changes, so that whatever else
    the machine does meets all alike."""

    with tempfile.TemporaryDirectory() as installed:
        # As cp and dpkg write them, like the others. What the linker has just written lies in the page cache in small
        # pieces, and takes a twentieth longer to start.
        for name in ["pidleak", "pidleak-cli"]:
            shutil.copy(program(options.bin, name), installed)

        def find(name):
            return program(installed, name) if name == "pidleak" else shutil.which(name)

        there = {name: [path, *c[1:]] for name, c in GUARDS.items() if name in wanted and (path := find(c[0]))}
        return run_in_turn(there, options.rounds)


def run_in_turn(there, rounds, what="`true`"):
    tell(f"{rounds} rounds of {what} behind {', '.join(there)}")
    taken = {name: [] for name in there}
    for done in range(rounds + 10):
        for name in random.sample(sorted(there), len(there)):
            one = run_ms(there[name])
            if done >= 10:  # the first ones warm the caches
                taken[name].append(one)
    return {name: statistics.median(all_times) for name, all_times in taken.items()}


def guard_results(options):
    medians = measure_guards(options)
    rows = []
    for name in GUARDS:
        if name not in medians:
            rows.append([name, "not there", "", ""])
            continue
        to_tini = times(medians[name] / medians[TINI]) if TINI in medians else ""
        rows.append([name, f"{medians[name]:.2f}", times(medians[name] / medians[NOTHING]), to_tini])
    bars = [(name, medians[name] / medians[NOTHING], name.startswith(GUARD)) for name in GUARDS if name in medians]
    ours = [name for name in medians if name.startswith(GUARD) and TINI in medians]
    return (
        as_table(["who stands before `true`", f"median ms of {options.rounds}", "to nothing", "to tini"], rows),
        plots.bars("Running `true`: time with each before it, as a multiple of fork, exec and wait alone", bars),
        {f"{name}, to {TINI}": medians[name] / medians[TINI] for name in ours},
    )


# --- census ----------------------------------------------------------------------------------------------------------


def measure_census(options, wanted=""):
    """Medians in microseconds of CPU time by (tool, descendants, unrelated), of those whose name matches. Google
    Benchmark repeats them in an order that changes."""
    script = os.getpid()

    def end_with_script():  # PR_SET_PDEATHSIG: nothing that it has started outlives this script, not even after SIGKILL
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        if os.getppid() != script:
            os._exit(1)

    out = os.path.join(options.output, "census.json")
    command = [
        program(options.bin, "census_benchmark"),
        f"--benchmark_filter={wanted}",
        f"--benchmark_repetitions={options.repetitions}",
        "--benchmark_enable_random_interleaving=true",
        f"--benchmark_out={out}",
        "--benchmark_out_format=json",
    ]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    ran = subprocess.run(command, preexec_fn=end_with_script, **pipes)
    if ran.returncode != 0:
        fail(f"{command[0]} ended with {ran.returncode}:\n{ran.stderr}")
    with open(out) as file:
        entries = json.load(file)["benchmarks"]
    taken, missing = {}, {}
    for entry in entries:
        tool, descendants, unrelated = entry["run_name"].split("/")[:3]
        if entry.get("error_occurred"):
            missing[tool] = entry["error_message"]
        elif entry["run_type"] == "iteration":
            taken.setdefault((tool, int(descendants), int(unrelated)), []).append(entry["real_time"])
    if "census" in missing:
        fail(missing["census"])
    for tool, why in missing.items():
        tell(f"{tool} is left out: {why}")
    return {key: statistics.median(all_times) for key, all_times in taken.items() if key[0] not in missing}


def census_results(options):
    tell(f"{options.repetitions} repetitions of the census, psutil and ps, beside up to 5,000 processes: two minutes")
    taken = measure_census(options)
    there = [tool for tool in TOOLS if any(key[0] == tool for key in taken)]
    rows = []
    for descendants in DESCENDANTS:
        for unrelated in UNRELATED:
            own = taken["census", descendants, unrelated]
            growth = own / taken["census", descendants, 0]
            others = [taken[tool, descendants, unrelated] / own for tool in there[1:]]
            rows.append([f"{descendants:,}", f"{unrelated:,}", f"{own / 1000:.2f}", *map(times, [growth, *others])])
        if own := taken.get((NAMESPACE, descendants, 0)):
            others = [taken[tool, descendants, 0] / own for tool in there[1:]]
            growth = own / taken["census", descendants, 0]
            rows.append([f"{descendants:,}", NAMESPACE, f"{own / 1000:.2f}", *map(times, [growth, *others])])
    head = ["descendants", "unrelated", "census, ms of CPU", "to beside none"]
    head += [f"{tool} to census" for tool in there[1:]]
    unit = taken["census", DESCENDANTS[0], 0]
    panels = {
        descendants: {
            tool: [(unrelated, taken[tool, descendants, unrelated] / unit) for unrelated in UNRELATED]
            for tool in there
        }
        for descendants in DESCENDANTS
    }
    ratios = {
        f"census of {descendants:,} beside {unrelated:,}, to {tool}":
            taken["census", descendants, unrelated] / taken[tool, descendants, unrelated]
        for descendants in DESCENDANTS for unrelated in UNRELATED for tool in there[1:]
    }
    ratios |= {
        f"census of {descendants:,} in a namespace, to {tool}":
            taken[NAMESPACE, descendants, 0] / taken[tool, descendants, 0]
        for descendants in DESCENDANTS for tool in there[1:] if (NAMESPACE, descendants, 0) in taken
    }
    return as_table(head, rows), plots.census(panels), ratios


# --- replay ----------------------------------------------------------------------------------------------------------

IMPORT = "python3 -c 'import concurrent.futures.process'"
BARE = "the pool alone"  # the processes of a replay, and nothing that looks at them
LIFETIME = "lifetime on hardened"
FIRST = 12  # replays that are not counted: of the first ten OOM kills in 5 s the kernel logs all that it knows


def python_for_replays():
    """CPython 3.13 where it is to be had: 3.7 to 3.11 turn in a loop at the full queue."""
    for name in ["python3.13", *sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/3.13.*/bin/python3"))), "python3"]:
        path = shutil.which(name)
        if path and subprocess.run([path, "-c", ""], stderr=subprocess.DEVNULL).returncode == 0:  # no shim without one
            return path
    return None


def replays(python):
    """By name: arguments of `pidleak run`, how many are counted, and what one is a multiple of."""
    of = {
        "incident on hardened": (["incident", "--pool", "hardened"], 40, TINI),
        "incident on hardened, a SIGKILL for the OOM kill":
            (["incident", "--pool", "hardened", "--oom=sigkill"], 40, TINI),
        LIFETIME: (["lifetime", "--pool", "hardened"], 20, TINI),
        f"{LIFETIME}, traced": (["lifetime", "--pool", "hardened", "--record"], 10, LIFETIME),
    }
    if python:
        version = subprocess.check_output([python, "-c", "import platform; print(platform.python_version())"], text=True)
        arguments = ["incident", "--pool", f"python:{python}", "--start-method", "fork"]
        of[f"incident on CPython {version.strip()}"] = (arguments, 8, IMPORT)
    return of


def replay_ms(options, arguments, count):
    """What one more takes in a series of replays one after the other."""

    def series_ms(repeat):
        command = [program(options.bin, "pidleak"), "run", *arguments, "--repeat", str(repeat)]
        start = time.perf_counter()
        subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
        return (time.perf_counter() - start) * 1000

    return (series_ms(FIRST + count) - series_ms(FIRST)) / count


def bare_ms(options):
    """The minimal pool, made, told to shut down and ended by its own commands: no tasks, no sandbox, no census."""
    create = {"command": "create_pool", "workers": 4, "start_method": "fork", "sigterm": "default",
              "handler_registered": "run-time", "signal_reset": "none", "terminate": "as-is", "queue_slots": "as-is",
              "hold_before_count": False, "preset": "hardened", "channel": options.output}
    commands = [create, {"command": "shutdown"}, {"command": "exit"}]
    with tempfile.TemporaryFile() as told, open(os.devnull, "w") as null:
        told.write("".join(json.dumps(command) + "\n" for command in commands).encode())

        def once():
            told.seek(0)
            return run_ms([program(options.bin, "pidleak-subject")], null.fileno(), told.fileno())

        return statistics.median(once() for _ in range(20))


def point_ms(options):
    """Of a sweep of hardened, its recordings included."""
    out = os.path.join(options.output, "sweep.json")
    command = [program(options.bin, "pidleak"), "sweep", "--pool", "hardened", "--sample", "60", "--fault", "kill",
               "--report", out]
    start = time.perf_counter()
    if subprocess.run(command, stdout=subprocess.DEVNULL, check=False).returncode != 0:
        fail(f"{' '.join(command)} did not end with 0")
    with open(out) as file:
        tried = json.load(file)["sweeps"][0]["coverage"]["tried"]
    return (time.perf_counter() - start) * 1000 / tried


POINT = "a point of a sweep of hardened"


def replay_results(options):
    """Each round takes each once, so that whatever else the machine does meets all alike."""
    tell("series of replays, five times over: a minute")
    python = python_for_replays()
    of = replays(python)
    peers = {TINI: [shutil.which("tini"), *GUARDS[TINI][1:]],
             IMPORT: [python, "-c", "import concurrent.futures.process"]}
    taken = {name: [] for name in [*peers, BARE, POINT, *of]}
    for _ in range(5):
        for name, command in peers.items():
            if command[0]:
                taken[name].append(statistics.median(run_ms(command) for _ in range(20)))
        taken[BARE].append(bare_ms(options))
        taken[POINT].append(point_ms(options))
        for name, (arguments, count, _) in of.items():
            taken[name].append(replay_ms(options, arguments, count))
    medians = {name: statistics.median(all_times) for name, all_times in taken.items() if all_times}
    rows, bars = [], []
    units = [(name, unit) for name, (_, _, unit) in of.items()]
    for name, unit in [*units, (LIFETIME, BARE), (POINT, LIFETIME)]:
        if unit in medians:
            rows.append([name, f"{medians[name]:.1f}", f"{times(medians[name] / medians[unit])} times {unit}"])
            bars.append((f"{name}, to {unit}", medians[name] / medians[unit], True))
    table = as_table(["a replay of", "median ms", "that is"], rows)
    return table, plots.bars("What a replay costs", bars), {name: ratio for name, ratio, _ in bars}


# --- watch -----------------------------------------------------------------------------------------------------------

FORKS = 300
LOOP = ["sh", "-c", f"i=0; while [ $i -lt {FORKS} ]; do /bin/true; i=$((i+1)); done"]
WATCHED = [1000, 10000]
WATCH_SECONDS = 10
PS = ["ps", "-eo", "pid,ppid"]
# Forks as many as it is told, which only wait and end with it; says so, and waits for the end of its input.
CROWD = """
import ctypes, os, signal, sys
for _ in range(int(sys.argv[1])):
    if os.fork() == 0:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
        os.close(0)
        while True:
            signal.pause()
print("ready", flush=True)
sys.stdin.read()
"""


def cpu_ms(pid):
    with open(f"/proc/{pid}/stat") as text:
        fields = text.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")


def watching_ms(options, processes):
    """Of CPU time a second, while it watches that many which only wait."""
    tell(f"{WATCH_SECONDS} s beside {processes:,} processes")
    out = os.path.join(options.output, "watched.json")
    command = [program(options.bin, "pidleak"), "guard", "--watch", "--report", out, "--", sys.executable, "-c", CROWD]
    guard = subprocess.Popen([*command, str(processes)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                             stderr=subprocess.DEVNULL)
    if guard.stdout.readline() != "ready\n":
        fail(f"this machine does not allow {processes:,} more processes")
    before = cpu_ms(guard.pid)
    time.sleep(WATCH_SECONDS)  # what is measured
    taken = (cpu_ms(guard.pid) - before) / WATCH_SECONDS
    guard.stdin.close()
    guard.wait()
    return taken


def watch_results(options):
    in_turn = {GUARD: [program(options.bin, "pidleak"), "guard", "--", *LOOP]}
    if tini := shutil.which("tini"):
        in_turn[TINI] = [tini, "-s", "--", *LOOP]
    medians = run_in_turn(in_turn, max(1, options.rounds // 10), f"{FORKS} forks and execs")
    rows, ratios = [], {}
    if TINI in medians:
        name = f"guard before {FORKS} forks and execs, to {TINI}"
        ratios[name] = medians[GUARD] / medians[TINI]
        rows.append([name, f"{medians[GUARD]:.1f}", times(ratios[name])])
    ps = [shutil.which(PS[0]), *PS[1:]]
    ps_ms = statistics.median(run_ms(ps, os.open(os.devnull, os.O_WRONLY)) for _ in range(20)) if ps[0] else None
    for processes in WATCHED:
        name = f"a second of guard --watch beside {processes:,} processes, to one ps beside none"
        taken = watching_ms(options, processes)
        if ps_ms:
            ratios[name] = max(taken, 0.01) / ps_ms  # the kernel counts in hundredths of a second
            rows.append([name, f"{taken:.2f}", times(ratios[name])])
    bars = [(name, ratio, True) for name, ratio in ratios.items()]
    return as_table(["what", "ms", "that is, times"], rows), plots.bars("What it costs to watch", bars), ratios


# --- build -----------------------------------------------------------------------------------------------------------

ONE_FILE = "#include <nlohmann/json.hpp>\n#include <CLI/CLI.hpp>\nint main() { return 0; }\n"


def seconds_of(command, **how):
    start = time.perf_counter()
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **how)
    if ran.returncode != 0:
        fail(f"{' '.join(command)} ended with {ran.returncode}:\n{ran.stdout[-2000:]}")
    return time.perf_counter() - start


def build_results(options):
    tell("a build from nothing: some minutes")
    source = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    no_cache = dict(os.environ, CCACHE_DISABLE="1")
    with tempfile.TemporaryDirectory() as directory:
        one = os.path.join(directory, "one.cpp")
        with open(one, "w") as file:
            file.write(ONE_FILE)
        unit = seconds_of(["g++", "-std=c++20", "-O2", "-c", one, "-o", "/dev/null"], env=no_cache)
        built = os.path.join(directory, "build")
        seconds_of(["cmake", "-S", source, "-B", built, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                    "-DPIDLEAK_TESTS=OFF"])
        build = seconds_of(["cmake", "--build", built], env=no_cache)
    replay = seconds_of([os.path.join(source, "ci", "replay")])
    names = {"a build of the programs from nothing": build, "ci/replay, once they are built": replay}
    ratios = {f"{name}, to one file with nlohmann_json and CLI11": taken / unit for name, taken in names.items()}
    rows = [[name, f"{taken:.1f}", times(taken / unit)] for name, taken in names.items()]
    table = as_table(["what", "s", "to one file with nlohmann_json and CLI11"], rows)
    return table, plots.bars("What a build takes", [(name, ratio, True) for name, ratio in ratios.items()]), ratios
