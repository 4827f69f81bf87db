"""billiard.Pool, which Celery uses, as a subject of pidleak. Shutdown is close() and join(), as Celery's warm one."""
import billiard

import pidleak_subject as subject


class Pool:
    hello = {
        "pool": "billiard.Pool",
        "version": billiard.__version__,
        "start_methods": ["fork", "spawn", "forkserver"],
        "handlers_registered": ["run-time", "import"],
        "signal_resets": ["none", "initializer"],
    }

    def create(self, command):
        context = billiard.get_context(command["start_method"])
        reset = subject.reset_signals if command["signal_reset"] == "initializer" else None
        self.pool = context.Pool(command["workers"], initializer=reset)

    def submit(self, number, channel):
        self.pool.apply_async(subject.run_task, (number, channel))

    def workers(self):
        return [process.pid for process in self.pool._pool]

    def helpers(self):
        return subject.helpers_of_multiprocessing("billiard")

    def shut_down(self):
        self.pool.close()
        self.pool.join()


if __name__ == "__main__":
    subject.run(Pool())
