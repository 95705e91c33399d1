"""What tests have in common."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from zeek_broker import compat, sync

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = ROOT.parent / "fixtures"

#: Long for anything that happens at all; nothing waits for it to pass.
LONG = 30.0

LOOPS = ["asyncio"]
try:
    import uvloop

    LOOPS.append("uvloop")
except ImportError:
    pass


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[Any, Any, Any]], Any]:
    """Runs a coroutine in an event loop, once for each kind of loops."""

    def run(main: Coroutine[Any, Any, Any]) -> Any:
        async def limited() -> Any:
            return await asyncio.wait_for(main, LONG)

        if request.param == "uvloop":
            loop = uvloop.new_event_loop()
            try:
                return loop.run_until_complete(limited())
            finally:
                loop.close()
        return asyncio.run(limited())

    return run


@pytest.fixture
def pair() -> Iterator[tuple[sync.Endpoint, sync.Endpoint]]:
    """Two peered endpoints; the first has dialled the second."""
    with sync.serve("tcp://127.0.0.1:0") as collector:
        assert collector.url is not None
        with sync.connect(collector.url) as sensor:
            yield sensor, collector


@pytest.fixture
def compat_pair() -> Iterator[tuple[Any, Any, int]]:
    """Two peered endpoints of the drop-in layer, and the port of the second."""
    with compat.Endpoint() as dialler, compat.Endpoint() as listener:
        port = listener.listen("127.0.0.1", 0)
        assert dialler.peer("127.0.0.1", port, 0)
        yield dialler, listener, port


# Where SIGINT was inherited as ignored, as by what a shell starts in the background, programs that
# the tests start would ignore it, too.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def script(tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Starts Python with a text as its program."""

    def start(text: str, *arguments: str, options: tuple[str, ...] = (), **more: Any) -> Any:
        file = tmp_path / "script.py"
        file.write_text(textwrap.dedent(text))
        command = [sys.executable, *options, str(file), *arguments]
        return subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **more.pop("env", {})},
            **more,
        )

    return start
