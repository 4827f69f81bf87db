"""What a worker of a Python server does when it is asked: it reads the driver's gate, a FIFO, to its end."""

import os

DIRECTORY = os.environ["PIDLEAK_DIR"]
OOM_MIB = 384


def started():
    """This worker has loaded the app."""
    open(os.path.join(DIRECTORY, "started-%d" % os.getpid()), "w").close()


def count_started():
    return sum(name.startswith("started-") for name in os.listdir(DIRECTORY))


def allocate():
    memory = bytearray(OOM_MIB << 20)
    for at in range(0, len(memory), 4096):
        memory[at] = 1


def answer(path):
    """The answer to a request, as text. Blocks where it is asked to."""
    if path.startswith("/block"):
        with open(os.path.join(DIRECTORY, "gate")) as gate:
            gate.read()
    if path == "/block-allocate":
        allocate()
    return "%d\n" % os.getpid()
