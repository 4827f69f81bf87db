import subprocess

import pytest


@pytest.fixture(scope="module")
def left_by_module():
    yield subprocess.Popen(["sleep", "600"])


def test_leak_of_a_module(left_by_module):
    """the fixture left_by_module (module): a process remains | live sleep | in left_by_module"""
