"""The smallest adapter: a pool of its own in twenty lines, and all of the subject protocol that such a pool needs.

Copy it, put your pool in the place of `Pool`, and ask `pidleak check-adapter python3 minimal.py` what is still wrong.
The protocol is described in harness/protocol/PROTOCOL.md.
"""
import json
import os
import signal


class Pool:
    """Workers that read the numbers of their tasks from a pipe, and leave at its end."""

    def __init__(self, size, channel):
        self.tasks, self.feed = os.pipe()
        self.workers = [self.start(channel) for _ in range(size)]
        os.close(self.tasks)

    def start(self, channel):
        pid = os.fork()
        if pid == 0:
            os.close(self.feed)  # or no worker would ever see the end of this pipe
            while True:
                number = os.read(self.tasks, 8)  # each is eight bytes: read by one worker alone
                if not number:
                    os._exit(0)
                run_task(int(number), channel)
        return pid

    def submit(self, number):
        os.write(self.feed, b"%08d" % number)

    def shutdown(self):
        os.close(self.feed)
        for pid in self.workers:
            os.waitpid(pid, 0)


def run_task(number, channel):
    """What every task does, in the worker: it tells where it is, and does what the driver orders at its gate."""
    with open(channel + "/events", "wb", buffering=0) as events:
        events.write(line({"event": "at", "point": "in-task", "task": number, "pid": os.getpid()}))
    with open(channel + "/gate-%d" % number) as gate:
        order = gate.readline().split()
    if order[0] == "allocate":  # MiB, and every page of it touched: the kernel is to kill this process
        b"x" * (int(order[1]) << 20)


def line(fields):
    return json.dumps(fields).encode() + b"\n"


def say(event, **fields):
    os.write(1, line(dict(fields, event=event)))


say("hello", protocol=1, pool="minimal example", version="1", start_methods=["fork"], handlers_registered=["run-time"])
for text in open(0, "rb", buffering=0):
    command = json.loads(text.decode())
    name = command["command"]
    if name == "create_pool":
        if command["sigterm"] == "handler":
            signal.signal(signal.SIGTERM, lambda number, frame: None)
        elif command["sigterm"] == "ignored":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        elif command["sigterm"] == "blocked":
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        pool = Pool(command["workers"], command["channel"])
        say("pool_created", workers=pool.workers)
    elif name == "submit":
        for number in range(command["first_task"], command["first_task"] + command["count"]):
            pool.submit(number)
        say("submitted")
    elif name == "shutdown":
        say("shutdown_called")
        pool.shutdown()
        say("shutdown_returned")
    elif name == "exit":
        break
    else:
        say("error", message="unknown command: " + name)
