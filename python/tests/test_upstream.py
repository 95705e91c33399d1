"""The C++ module's own tests, unchanged, with ``broker`` provided by the drop-in layer.

They are not part of this project: ``ZEEK_BROKER_UPSTREAM_TESTS`` names the directory
``tests/python`` of a checkout of zeek/broker. Without it these tests are skipped. With
``ZEEK_BROKER_CPP_MODULE``, the directory that has the C++ module, they also run with every other
endpoint being one of that, which needs the Python that it was built for.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

#: Where the C++ module is.
CPP = os.environ.get("ZEEK_BROKER_CPP_MODULE", "")

DIRECTORY = os.environ.get("ZEEK_BROKER_UPSTREAM_TESTS", "")

#: The cases of each file that need no Zeek.
CASES = {
    "communication.py": 7,
    "data.py": 18,
    "forwarding.py": 1,
    "ssl-tests.py": 6,
    "store.py": 4,
    "topic.py": 2,
    "zeek-module.py": 6,
}

#: What the drop-in layer does not have.
EXPECTED_TO_FAIL = {"store.py"}


needs_upstream = pytest.mark.skipif(not DIRECTORY, reason="ZEEK_BROKER_UPSTREAM_TESTS is not set")


def outcomes_of(*command: str) -> tuple[dict[str, str], subprocess.CompletedProcess[str]]:
    """What became of each case, and all that was printed."""
    result = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=120)
    outcomes = dict(re.findall(r"^(test_\w+) .*\.\.\. (\w+)$", result.stderr, re.MULTILINE))
    return outcomes, result


@needs_upstream
@pytest.mark.parametrize("name", CASES)
def test_upstream(name: str) -> None:
    outcomes, result = outcomes_of("-m", "zeek_broker.compat", str(Path(DIRECTORY) / name))
    assert len(outcomes) == CASES[name], result.stderr
    expected = "ERROR" if name in EXPECTED_TO_FAIL else "ok"
    assert set(outcomes.values()) == {expected}, result.stderr
    if name in EXPECTED_TO_FAIL:
        assert result.stderr.count("NotImplementedError: ") == CASES[name]


@needs_upstream
@pytest.mark.skipif(not CPP, reason="ZEEK_BROKER_CPP_MODULE is not set")
@pytest.mark.parametrize("first", ["cpp", "rust"])
@pytest.mark.parametrize(
    "name", ["communication.py", "forwarding.py", "ssl-tests.py", "zeek-module.py"]
)
def test_upstream_with_every_other_endpoint_of_the_cpp_module(name: str, first: str) -> None:
    mixed = str(Path(__file__).with_name("mixed.py"))
    outcomes, result = outcomes_of(mixed, first, str(Path(DIRECTORY) / name))
    assert len(outcomes) == CASES[name], result.stderr
    assert set(outcomes.values()) == {"ok"}, result.stderr
