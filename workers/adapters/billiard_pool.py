"""billiard.Pool, which Celery uses, as a subject of pidleak. Shutdown is close() and join(), as Celery's warm one."""
import billiard
import billiard.forkserver
import billiard.pool
import billiard.process
import billiard.semaphore_tracker

import pidleak_subject as subject

helpers = []


def note_helpers(module, role):
    """billiard keeps the pids of its own helpers nowhere."""
    spawn = module.spawnv_passfds

    def spawn_and_note(*arguments):
        pid = spawn(*arguments)
        helpers.append({"role": role, "pid": pid})
        return pid

    module.spawnv_passfds = spawn_and_note


class Pool:
    hello = {
        "pool": "billiard.Pool",
        "version": billiard.__version__,
        "start_methods": ["fork", "spawn", "forkserver"],
        "handlers_registered": ["run-time", "import"],
        "longest_timer": int(billiard.pool.LOST_WORKER_TIMEOUT),  # after which it gives the task of a dead worker up
    }

    def create(self, command):
        note_helpers(billiard.semaphore_tracker, "semaphore tracker")
        note_helpers(billiard.forkserver, "fork server")
        subject.note_starts(billiard.process.BaseProcess)
        # No initializer could reset SIGTERM: billiard's workers register a handler of its own after that.
        self.pool = billiard.get_context(command["start_method"]).Pool(command["workers"])

    def submit(self, number, channel):
        self.pool.apply_async(subject.run_task, (number, channel))

    def workers(self):
        return [process.pid for process in self.pool._pool]

    def helpers(self):
        return helpers

    def shut_down(self):
        self.pool.close()
        self.pool.join()


if __name__ == "__main__":
    subject.run(Pool())
