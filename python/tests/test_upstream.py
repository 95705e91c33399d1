"""The C++ module's own tests, unchanged, with ``broker`` provided by the drop-in layer.

They are not part of this project: ``ZEEK_BROKER_UPSTREAM_TESTS`` names the directory
``tests/python`` of a checkout of zeek/broker. Without it these tests are skipped.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

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


@pytest.mark.skipif(not DIRECTORY, reason="ZEEK_BROKER_UPSTREAM_TESTS is not set")
@pytest.mark.parametrize("name", CASES)
def test_upstream(name: str) -> None:
    path = Path(DIRECTORY) / name
    command = [sys.executable, "-m", "zeek_broker.compat", str(path)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120)
    outcomes = dict(re.findall(r"^(test_\w+) .*\.\.\. (\w+)$", result.stderr, re.MULTILINE))
    print(result.stderr)
    assert len(outcomes) == CASES[name], result.stderr
    expected = "ERROR" if name in EXPECTED_TO_FAIL else "ok"
    assert set(outcomes.values()) == {expected}, result.stderr
    if name in EXPECTED_TO_FAIL:
        assert result.stderr.count("NotImplementedError: ") == CASES[name]
