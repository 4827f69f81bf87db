import subprocess
import sys
from concurrent.futures import ProcessPoolExecutor

import pytest

SLEEPS = ["sleep", "600"]


@pytest.fixture
def kept():
    """What stays referenced when a test is over, as in a global of a module under test."""
    return _kept


_kept = []


@pytest.fixture
def left_by_fixture():
    _kept.append(subprocess.Popen(SLEEPS))


@pytest.fixture
def ended_by_fixture():
    with subprocess.Popen(SLEEPS) as process:
        yield process
        process.kill()


@pytest.fixture
def left_by_teardown():
    yield
    _kept.append(subprocess.Popen(SLEEPS))


@pytest.fixture
def ended_by_teardown():
    yield
    with subprocess.Popen(SLEEPS) as process:
        process.kill()


@pytest.fixture(scope="session")
def server():
    """It starts a process of its own for each line that it reads."""
    lines = "import subprocess, sys\nfor line in sys.stdin: subprocess.Popen(['sleep', '600']); print('.', flush=True)"
    with subprocess.Popen([sys.executable, "-c", lines], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        yield process
        subprocess.run(["pkill", "-P", str(process.pid)])
        process.kill()


@pytest.fixture(scope="session")
def executor():
    """Its workers start when something is submitted, in a test."""
    with ProcessPoolExecutor(2) as pool:
        yield pool
