"""The twins: nothing remains of any."""
import asyncio
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import unittest
from concurrent.futures import ProcessPoolExecutor

import pytest
from test_leaks import SLEEPS, block, daemonize, fork, wait_for_exit


def test_clean_popen():
    with subprocess.Popen(SLEEPS) as process:
        process.terminate()


def test_clean_popen_that_was_dropped():
    subprocess.Popen(["true"])  # Python waits for it, some time


def test_clean_grandchild():
    subprocess.run(["sh", "-c", "sleep 0.1 & wait"], check=True)


def test_clean_shell_with_an_orphan_that_ends():
    assert os.system("sleep 0.2 >/dev/null 2>&1 &") == 0


def test_clean_fork():
    assert os.waitpid(fork(lambda: None), 0)[1] == 0


def test_clean_daemon_that_ends():
    daemonize(lambda: subprocess.run(["sleep", "0.2"]))


def test_clean_zombie_that_is_reaped():
    pid = fork(lambda: None)
    wait_for_exit(pid)
    os.waitpid(pid, 0)


def test_clean_zombie_that_a_thread_reaps():
    pid = fork(lambda: None)
    threading.Timer(0.2, os.waitpid, (pid, 0)).start()


def test_clean_stopped():
    with subprocess.Popen(SLEEPS) as process:
        process.send_signal(signal.SIGSTOP)
        process.kill()


def test_clean_executor():
    with ProcessPoolExecutor(2) as pool:
        assert list(pool.map(abs, [-1, -2, -3])) == [1, 2, 3]


@pytest.mark.skipif(sys.version_info < (3, 9), reason="its workers remain until Python ends, as the plugin says")
def test_clean_executor_that_does_not_wait():
    pool = ProcessPoolExecutor(2)
    pool.submit(abs, -1)
    pool.shutdown(wait=False)


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_clean_process(method):
    process = multiprocessing.get_context(method).Process(target=block, daemon=True)
    process.start()
    process.terminate()
    process.join()


def test_clean_manager():
    with multiprocessing.Manager() as manager:
        assert list(manager.list([1, 2])) == [1, 2]


def test_clean_fixture(ended_by_fixture):
    assert ended_by_fixture.poll() is None


def test_clean_teardown(ended_by_teardown):
    pass


def test_clean_failure():
    subprocess.run(["true"])
    assert [] == "the failure of the test itself"


@pytest.mark.parametrize("request_", range(2))
def test_clean_server(server, request_):
    server.stdin.write(b"start one\n")
    server.stdin.flush()
    assert server.stdout.readline() == b".\n"


@pytest.mark.parametrize("request_", range(2))
def test_clean_executor_of_the_session(executor, request_):
    assert executor.submit(abs, -1).result() == 1


class TestUnit(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.process = subprocess.Popen(SLEEPS)

    @classmethod
    def tearDownClass(cls):
        cls.process.kill()
        cls.process.wait()

    def test_clean_unittest(self):
        assert self.process.poll() is None


class TestAsync(unittest.IsolatedAsyncioTestCase):
    async def test_clean_async(self):
        process = await asyncio.create_subprocess_exec("true")
        await process.wait()
