"""multiprocessing.Pool as a subject of pidleak. Its users leave a `with` block: shutdown is terminate() and join()."""
import multiprocessing
import platform
from multiprocessing.process import BaseProcess

import pidleak_subject as subject


class Pool:
    hello = {
        "pool": "multiprocessing.Pool",
        "version": platform.python_version(),
        "start_methods": multiprocessing.get_all_start_methods(),
        "handlers_registered": ["run-time", "import"],
        "signal_resets": ["none", "initializer"],
    }

    def create(self, command):
        subject.tell_terminations(BaseProcess)
        subject.note_starts(BaseProcess)
        context = multiprocessing.get_context(command["start_method"])
        reset = subject.reset_signals if command["signal_reset"] == "initializer" else None
        self.pool = context.Pool(command["workers"], initializer=reset)

    def submit(self, number, channel):
        self.pool.apply_async(subject.run_task, (number, channel))

    def workers(self):
        return [process.pid for process in self.pool._pool]

    def helpers(self):
        return subject.helpers_of_multiprocessing()

    def shut_down(self):
        self.pool.terminate()
        self.pool.join()


if __name__ == "__main__":
    subject.run(Pool())
