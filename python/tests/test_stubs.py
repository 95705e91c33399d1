"""The stubs say what there is, and the package keeps to its own annotations."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
from conftest import ROOT

pytest.importorskip("mypy")


def check(*command: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_stubs_agree_with_the_native_part(tmp_path: Any) -> None:
    check("mypy.stubtest", "zeek_broker._zeek_broker", "--ignore-disjoint-bases")


def test_annotations_of_the_package_hold() -> None:
    check("mypy", "--strict", "-p", "zeek_broker", "--no-incremental")


def test_programs_are_checked_against_them(tmp_path: Any) -> None:
    program = tmp_path / "program.py"
    program.write_text(
        "import zeek_broker\n"
        "from zeek_broker import sync\n"
        "async def main() -> None:\n"
        "    async with zeek_broker.connect('tcp://127.0.0.1:1') as endpoint:\n"
        "        async for message in endpoint.subscribe('/t'):\n"
        "            reveal_type(message.event)\n"
        "        async for item in endpoint.events():\n"
        "            match item:\n"
        "                case zeek_broker.PeerAdded(id, url):\n"
        "                    reveal_type(url)\n"
        "def blocking() -> None:\n"
        "    with sync.serve('tcp://127.0.0.1:0') as endpoint:\n"
        "        reveal_type(endpoint.subscribe('/t').next(1.5))\n"
    )
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", str(program)], capture_output=True, text=True
    )
    revealed = [line.split("note: ")[1] for line in result.stdout.splitlines() if "note" in line]
    types = [text.split('"')[1] for text in revealed]
    assert [name.replace("zeek_broker._", "") for name in types] == [
        "event.Event | None",
        "str | None",
        "zeek_broker.Message | None",
    ], result.stdout
