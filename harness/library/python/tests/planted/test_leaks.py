"""Each leaves what its first line says, and is to be told of it by these words."""
import asyncio
import multiprocessing
import os
import signal
import subprocess
import threading
import unittest
from concurrent.futures import ProcessPoolExecutor

import pytest

SLEEPS = ["sleep", "600"]


def block():
    signal.pause()


def fork(body):
    """A child that runs body; its pid."""
    pid = os.fork()
    if pid == 0:
        try:
            body()
        finally:
            os._exit(0)
    return pid


def wait_for_exit(pid):
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)


def daemonize(body):
    """As daemons do: two forks, and a session between them."""
    def middle():
        os.setsid()
        fork(body)

    os.waitpid(fork(middle), 0)


def test_leak_popen(kept):
    """live sleep | sleep 600 | timer | test_leak_popen"""
    kept.append(subprocess.Popen(SLEEPS))


def test_leak_popen_that_was_dropped():
    """live sleep | test_leak_popen_that_was_dropped"""
    subprocess.Popen(SLEEPS)


def test_leak_session(kept):
    """escaped sleep | test_leak_session"""
    kept.append(subprocess.Popen(SLEEPS, start_new_session=True))


def test_leak_grandchild(kept):
    """2 processes | live sh | live sleep | (sh), created by pytest | test_leak_grandchild"""
    shell = subprocess.Popen(["sh", "-c", "sleep 600 & echo .; wait"], stdout=subprocess.PIPE)
    shell.stdout.readline()
    kept.append(shell)


def test_leak_of_a_shell():
    """sleep | maybe created by | test_leak_of_a_shell"""
    assert os.system("sleep 600 >/dev/null 2>&1 &") == 0


def test_leak_of_a_run_that_timed_out():
    """2 processes | sleep 601 | maybe created by sh -c | test_leak_of_a_run_that_timed_out"""
    with pytest.raises(subprocess.TimeoutExpired):
        subprocess.run(["sh", "-c", "sleep 600 & sleep 601"], timeout=0.5)


def test_leak_fork():
    """live | waits in pause | test_leak_fork"""
    fork(block)


def test_leak_daemon():
    """escaped | created by a fork of pytest's | in fork"""
    daemonize(block)


def test_leak_daemon_that_closes_all(tmp_path):
    """escaped | sleep 600 | created by"""

    def daemon():
        os.closerange(3, 256)
        for number in range(3, 64):  # whatever was there
            assert os.open(str(tmp_path / str(number)), os.O_CREAT | os.O_WRONLY) == number
        subprocess.Popen(SLEEPS)
        os.close(os.open(str(done), os.O_WRONLY))
        block()

    done = tmp_path / "done"
    os.mkfifo(str(done))
    daemonize(daemon)
    assert done.read_bytes() == b""
    assert all(path.read_bytes() == b"" for path in tmp_path.iterdir() if path != done)


def test_leak_zombie_of_popen(kept):
    """zombie true | not-reaped | exited with 0 | test_leak_zombie_of_popen"""
    kept.append(subprocess.Popen(["true"]))
    wait_for_exit(kept[-1].pid)


def test_leak_zombie_of_fork():
    """zombie | not-reaped | test_leak_zombie_of_fork"""
    wait_for_exit(fork(lambda: None))


def test_leak_posix_spawn():
    """live sleep | test_leak_posix_spawn"""
    os.posix_spawnp("sleep", SLEEPS, os.environ)


def test_leak_stopped(kept):
    """stopped sleep | test_leak_stopped"""
    process = subprocess.Popen(SLEEPS)
    kept.append(process)
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)


def test_leak_that_ignores_sigterm(kept):
    """live sleep | SIGTERM ignored | test_leak_that_ignores_sigterm"""
    kept.append(subprocess.Popen(["sh", "-c", "trap '' TERM; echo .; exec sleep 600"], stdout=subprocess.PIPE))
    kept[-1].stdout.readline()


def test_leak_executor(kept):
    """processes remain | waits-for-lock | test_leak_executor"""
    pool = ProcessPoolExecutor(2, mp_context=multiprocessing.get_context("fork"))
    kept.append(pool)
    assert pool.submit(abs, -1).result() == 1


def test_leak_pool(kept):
    """2 processes remain | test_leak_pool"""
    pool = multiprocessing.get_context("fork").Pool(2)
    kept.append(pool)
    assert pool.apply(abs, (-1,)) == 1


def test_leak_process(kept):
    """live | test_leak_process"""
    process = multiprocessing.get_context("fork").Process(target=block, daemon=True)
    process.start()
    kept.append(process)


def test_leak_spawned_process(kept):
    """a process remains | live | test_leak_spawned_process"""
    process = multiprocessing.get_context("spawn").Process(target=block, daemon=True)
    process.start()
    kept.append(process)


def test_leak_of_a_fork_server(kept):
    """a process remains | live | test_leak_of_a_fork_server"""
    process = multiprocessing.get_context("forkserver").Process(target=block, daemon=True)
    process.start()
    kept.append(process)


def test_leak_of_a_thread(kept):
    """live sleep | in <lambda>"""
    thread = threading.Thread(target=lambda: kept.append(subprocess.Popen(SLEEPS)))
    thread.start()
    thread.join()


def test_leak_of_a_fixture(left_by_fixture):
    """live sleep | in left_by_fixture"""


def test_leak_of_a_teardown(left_by_teardown):
    """live sleep | in left_by_teardown"""


def test_leak_and_failure(kept):
    """live sleep | test_leak_and_failure"""
    kept.append(subprocess.Popen(SLEEPS))
    assert kept == "the failure of the test itself"


def test_leak_and_skip(kept):
    """live sleep | test_leak_and_skip"""
    kept.append(subprocess.Popen(SLEEPS))
    pytest.skip("skipped")


class TestUnit(unittest.TestCase):
    def test_leak_unittest(self):
        """live sleep | in test_leak_unittest"""
        self.__class__.process = subprocess.Popen(SLEEPS)


class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_leak_async(self):
        """live sleep | in test_leak_async"""
        await asyncio.create_subprocess_exec(*SLEEPS)
