"""loky's executor, as joblib ships it, as a subject of pidleak. Its own start method forks and executes: a spawn."""
from multiprocessing.process import BaseProcess

import joblib
from joblib.externals import loky

import pidleak_subject as subject


class Executor:
    hello = {
        "pool": "loky (in joblib %s)" % joblib.__version__,
        "version": loky.__version__,
        "start_methods": ["spawn"],
        "handlers_registered": ["run-time"],
        "signal_resets": ["none", "initializer"],
        "reports_queue_depth": True,
    }

    def create(self, command):
        reset = subject.reset_signals if command["signal_reset"] == "initializer" else None
        subject.note_starts(BaseProcess)
        context = loky.backend.get_context("loky")
        self.pool = loky.ProcessPoolExecutor(max_workers=command["workers"], context=context, initializer=reset)

    def submit(self, number, channel):
        self.pool.submit(subject.run_task, number, channel)

    def workers(self):
        return list(self.pool._processes or {})

    def helpers(self):
        from joblib.externals.loky.backend import resource_tracker

        pid = resource_tracker._resource_tracker._pid
        own = [{"role": "loky's resource tracker", "pid": pid}] if pid else []
        return own + subject.helpers_of_multiprocessing()

    @property
    def queue_capacity(self):
        return self.pool._call_queue._maxsize

    def queue_depth(self):
        return self.pool._call_queue.qsize()

    def shut_down(self):
        self.pool.shutdown(wait=True)


if __name__ == "__main__":
    subject.run(Executor())
