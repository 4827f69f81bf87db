"""What every Python adapter has in common: the subject protocol (harness/protocol/PROTOCOL.md), the task that workers
run, and the conditions of a scenario. Python 3.6 or newer, standard library alone.

An adapter makes a class with these members, and calls run():

    hello            dict: what the pool is and can do
    create(command)  makes the pool
    submit(number, channel)   submits run_task(number, channel)
    shut_down()      as the pool's users do
and, if it can:
    workers()        pids in the order of their start
    helpers()        [{"role": ..., "pid": ...}]
    queue_depth(), queue_capacity
    objects()        [{"name": ..., "fd": ...} or {"name": ..., "semaphore": address, "guards": name of a pipe}]
    outcomes()       {"done": ..., "failed": ..., "unresolved": ...}, of the tasks, after shut_down
"""
import json
import os
import signal
import sys

PROTOCOL = 1
# Set in the environment, and not only here, because spawned workers import the main module, and this one, again.
HANDLER_AT_IMPORT = "PIDLEAK_HANDLER_AT_IMPORT"


def handler(signum, frame):
    """A SIGTERM handler that returns, as a framework registers one that sets a flag."""


def exit_handler(signum, frame):
    """One that ends the program, as many services have it."""
    raise SystemExit(0)


HANDLERS = {"handler": handler, "exits": exit_handler}
if HANDLER_AT_IMPORT in os.environ:
    signal.signal(signal.SIGTERM, HANDLERS[os.environ[HANDLER_AT_IMPORT]])


def reset_signals():
    """The pool's initializer where signals are to be reset in each worker."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM])


def set_sigterm(disposition, registered):
    if disposition in HANDLERS:
        signal.signal(signal.SIGTERM, HANDLERS[disposition])
        if registered == "import":
            os.environ[HANDLER_AT_IMPORT] = disposition
    elif disposition == "ignored":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif disposition == "blocked":
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def write_line(fd, fields):
    os.write(fd, json.dumps(fields).encode() + b"\n")


def say(event, **fields):
    write_line(1, dict(fields, event=event))


def report(channel, fields):
    events = os.open(os.path.join(channel, "events"), os.O_WRONLY)
    write_line(events, fields)
    os.close(events)


def allocate(mebibytes):
    """Touches page after page, until the kernel kills this process."""
    memory = bytearray(mebibytes << 20)
    for page in range(0, len(memory), 4096):
        memory[page] = 1


def hold(channel, point, gate, **fields):
    """Tells the driver where this process is, and does what it orders there."""
    fields.update(point=point, pid=os.getpid())
    report(channel, dict(fields, event="at"))
    with open(os.path.join(channel, gate)) as orders:
        order = orders.readline().split()
    if order[0] == "allocate":
        allocate(int(order[1]))
        report(channel, {"event": "survived", "pid": os.getpid()})
    return order


def hold_if_chosen(channel, point):
    try:
        with open(os.path.join(channel, "chosen-for-" + point)) as chosen:
            if chosen.read() != str(os.getpid()):
                return
    except FileNotFoundError:  # no worker has been chosen
        return
    hold(channel, point, "gate-" + point)


def run_task(number, channel):
    order = hold(channel, "in-task", "gate-%d" % number, task=number)
    return "." * int(order[1]) if order[0] == "finish" and len(order) > 1 else number


def helpers_of_multiprocessing():
    """The processes that multiprocessing keeps besides the workers. Their module exists since 3.4, or 3.8."""
    helpers = []
    for module, member, attribute, role in (
        ("resource_tracker", "_resource_tracker", "_pid", "resource tracker"),
        ("semaphore_tracker", "_semaphore_tracker", "_pid", "semaphore tracker"),
        ("forkserver", "_forkserver", "_forkserver_pid", "fork server"),
    ):
        loaded = sys.modules.get("multiprocessing." + module)
        pid = getattr(getattr(loaded, member, None), attribute, None)
        if pid:
            helpers.append({"role": role, "pid": pid})
    return helpers


def tell_terminations(process_class):
    """Tells the driver whom the pool sends SIGTERM: the kernel keeps no record of signals that were caught."""
    terminate = process_class.terminate

    def terminate_and_tell(process):
        terminate(process)
        say("signal_sent", pid=process.pid, signal=int(signal.SIGTERM))

    process_class.terminate = terminate_and_tell


FORKED_AT = {}  # lines, the innermost first: the pids of the processes that they have started


def note_starts(process_class):
    """Remembers for the driver where each process was started. No call to the kernel: a sweep's points stay what they
    are."""
    start = process_class.start

    def start_and_note(process):
        start(process)
        FORKED_AT.setdefault(tuple(lines_from(sys._getframe(1))), []).append(process.pid)

    process_class.start = start_and_note


def lines_from(frame):
    """From there outwards, to where the pool's code begins; files as they are imported."""
    lines = []
    while frame is not None and frame.f_code.co_filename != __file__ and len(lines) < 8:
        path = frame.f_code.co_filename
        roots = [root for root in sys.path if root and path.startswith(root + os.sep)]
        shown = path[len(max(roots, key=len)) + 1:] if roots else path
        lines.append("%s:%d in %s" % (shown, frame.f_lineno, frame.f_code.co_name))
        frame = frame.f_back
    return lines


def members_of(pool):
    """What the pool says of its processes: they may be there only once something was submitted."""
    fields = {"forked_at": [{"pids": FORKED_AT[lines], "lines": lines} for lines in FORKED_AT]} if FORKED_AT else {}
    for name in ("workers", "helpers"):
        if hasattr(pool, name):
            fields[name] = getattr(pool, name)()
    if hasattr(pool, "queue_capacity"):
        fields["queue_capacity"] = pool.queue_capacity
    if hasattr(pool, "objects"):
        fields["objects"] = pool.objects()
    return fields


def obey(pool, command):
    name = command["command"]
    if name == "create_pool":
        set_sigterm(command["sigterm"], command["handler_registered"])
        pool.create(command)
        say("pool_created", **members_of(pool))
    elif name == "submit":
        refused = {}
        try:
            for number in range(command["first_task"], command["first_task"] + command["count"]):
                pool.submit(number, pool.channel)
        except Exception as error:  # a broken pool takes no tasks
            refused["refused"] = "%s: %s" % (type(error).__name__, error)
        say("submitted", **refused, **members_of(pool))
    elif name == "queue_depth":
        say("queue_depth", depth=pool.queue_depth())
    elif name == "shutdown":
        say("shutdown_called")
        pool.shut_down()
        say("shutdown_returned", **(pool.outcomes() if hasattr(pool, "outcomes") else {}))
    elif name == "allocate":
        allocate(command["mebibytes"])
    else:
        raise ValueError("unknown command: %s" % name)


def run(pool):
    """Serves the driver until it says exit, or is gone."""
    dispositions = ["default", "handler", "exits", "ignored", "blocked"]
    say("hello", protocol=PROTOCOL, dispositions=dispositions, allocates=True, **pool.hello)
    try:
        # Not sys.stdin: while one thread reads it, it is locked, and workers that another thread forks close it first.
        for line in open(0, "rb", buffering=0):
            command = json.loads(line.decode())
            if command["command"] == "exit":
                break
            if "channel" in command:
                pool.channel = command["channel"]
            obey(pool, command)
    except Exception as error:
        say("error", message="%s: %s" % (type(error).__name__, error))
        raise
