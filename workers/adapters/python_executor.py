"""concurrent.futures.ProcessPoolExecutor as a subject of pidleak: Python 3.6 to the newest."""
import concurrent.futures.process
import multiprocessing
import os
import platform
import signal
import struct
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from multiprocessing.process import BaseProcess

import pidleak_subject as subject


class Executor:
    hello = {
        "pool": "concurrent.futures.ProcessPoolExecutor",
        "version": platform.python_version(),
        "start_methods": multiprocessing.get_all_start_methods(),
        "handlers_registered": ["run-time", "import"],
        "signal_resets": ["none", "initializer"] if sys.version_info >= (3, 7) else ["none"],
        "terminates": ["as-is", "sigkill"],
        "queue_slots": ["as-is", "plenty"],
        "holds_before_count": sys.version_info < (3, 12),  # from then on a broken pool does not count its workers
        "death_points": ["in-task", "holding-queue-lock", "half-result"],
        "death_points_with": "fork",
        "reports_queue_depth": True,
    }

    def create(self, command):
        options = {}
        if sys.version_info >= (3, 7):
            options["mp_context"] = multiprocessing.get_context(command["start_method"])
            if command["signal_reset"] == "initializer":
                options["initializer"] = subject.reset_signals
        else:
            multiprocessing.set_start_method(command["start_method"])
        subject.note_starts(BaseProcess)
        if command["queue_slots"] == "plenty":
            concurrent.futures.process.EXTRA_QUEUED_CALLS = 1000
        if command["terminate"] == "sigkill":
            BaseProcess.terminate = lambda process: os.kill(process.pid, signal.SIGKILL)
        else:
            subject.tell_terminations(BaseProcess)
        self.broken = threading.Event()
        if command["hold_before_count"]:
            self.hold_before_count()
        self.pool = ProcessPoolExecutor(max_workers=command["workers"], **options)
        self.futures = []
        self.told = threading.Lock()
        if command["start_method"] == "fork":
            self.watch_the_queues()

    def hold_before_count(self):
        """A broken pool asks each worker whether it is alive, and tells as many to leave: the first question waits."""
        is_alive = BaseProcess.is_alive

        def is_alive_after_gate(process):
            if self.broken.is_set() and self.to_hold.acquire(False):
                subject.hold(self.channel, "before-count", "gate-before-count")
            return is_alive(process)

        self.to_hold = threading.Lock()
        BaseProcess.is_alive = is_alive_after_gate

    def watch_the_queues(self):
        """Lets the driver stop a worker inside the queues' code. Forked workers inherit the changed objects."""
        reader = self.pool._call_queue._reader
        receive = reader.recv_bytes

        def receive_with_lock_in_hand(*arguments):
            subject.hold_if_chosen(self.channel, "holding-queue-lock")
            return receive(*arguments)

        reader.recv_bytes = receive_with_lock_in_hand
        writer = self.pool._result_queue._writer
        send = writer.send_bytes

        def send_half(message):
            try:
                subject_chosen = open(os.path.join(self.channel, "chosen-for-half-result")).read() == str(os.getpid())
            except FileNotFoundError:
                subject_chosen = False
            if subject_chosen:
                os.write(writer.fileno(), struct.pack("!i", len(message)) + bytes(message)[: len(message) // 2])
                subject.hold(self.channel, "half-result", "gate-half-result")
            return send(message)

        writer.send_bytes = send_half

    def submit(self, number, channel):
        future = self.pool.submit(subject.run_task, number, channel)
        self.futures.append(future)
        future.add_done_callback(self.notice)

    def outcomes(self):
        failed = sum(future.done() and (future.cancelled() or future.exception() is not None) for future in self.futures)
        unresolved = sum(not future.done() for future in self.futures)
        return {"done": len(self.futures) - failed - unresolved, "failed": failed, "unresolved": unresolved}

    def objects(self):
        calls, results = self.pool._call_queue, self.pool._result_queue
        objects = [
            {"name": "the call queue's pipe", "fd": calls._reader.fileno()},
            {"name": "the result queue's pipe", "fd": results._reader.fileno()},
        ]
        for name, lock in (("call", calls._rlock), ("result", results._wlock)):
            guards = "the %s queue's pipe" % name
            objects.append({"name": "the %s queue's lock" % name, "semaphore": lock._semlock.handle, "guards": guards})
        return objects

    def notice(self, future):
        """The first future that fails tells that the pool is broken."""
        if future.exception() is not None and self.told.acquire(False):
            subject.say("broken", queue_depth=self.queue_depth())
            self.broken.set()

    def workers(self):
        return list(self.pool._processes or {})

    def helpers(self):
        return subject.helpers_of_multiprocessing()

    @property
    def queue_capacity(self):
        return self.pool._call_queue._maxsize

    def queue_depth(self):
        return self.pool._call_queue.qsize()

    def shut_down(self):
        self.pool.shutdown(wait=True)


if __name__ == "__main__":
    subject.run(Executor())
