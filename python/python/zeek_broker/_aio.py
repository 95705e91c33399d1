"""Waiting in an asyncio event loop: for operations, and for descriptors.

Whatever runs in the background tells the loop by a descriptor, once foreverything that is done, so
nothing waits for the interpreter there, and a burst of messages is one wake-up.
"""

from __future__ import annotations

import asyncio
import weakref
from typing import Any

from . import _zeek_broker as native
from ._errors import Timeout


#: How often something may be done in one turn of the event loop.
_TURN = 256


class _Bridge:
    """The operations that an event loop waits for."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = weakref.ref(loop)
        self.completions = native.Completions()
        self.waiting: dict[int, asyncio.Future[bool]] = {}
        self.next_token = 0

    def add(self, operation: native.Operation) -> tuple[int, asyncio.Future[bool]]:
        loop = asyncio.get_running_loop()
        if not self.waiting:
            loop.add_reader(self.completions.fileno(), self._take)
        self.next_token += 1
        future = loop.create_future()
        self.waiting[self.next_token] = future
        operation.notify(self.completions, self.next_token)
        return self.next_token, future

    def remove(self, token: int) -> None:
        self.waiting.pop(token, None)
        loop = self.loop()
        if not self.waiting and loop is not None and not loop.is_closed():
            loop.remove_reader(self.completions.fileno())

    def _take(self) -> None:
        for token in self.completions.take():
            future = self.waiting.get(token)
            if future is not None:
                _resolve(future, True)


_bridges: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, _Bridge] = (
    weakref.WeakKeyDictionary()
)


async def wait(
    operation: native.Operation, timeout: float | None = None, *, cancel: bool = True
) -> Any:
    """The result of an operation. With ``cancel`` one that is not waited for to its end is given
    up."""
    if not operation.done:
        loop = asyncio.get_running_loop()
        bridge = _bridges.get(loop)
        if bridge is None:
            bridge = _bridges[loop] = _Bridge(loop)
        token, future = bridge.add(operation)
        try:
            done = await _within(future, timeout)
        except BaseException:
            if cancel:
                operation.cancel()
            raise
        finally:
            bridge.remove(token)
        if not done:
            if cancel:
                operation.cancel()
            raise Timeout(f"not done within {timeout} seconds")
    return operation.wait(0)


async def _within(future: asyncio.Future[bool], timeout: float | None) -> bool:
    """What the future brings, or False if it brings nothing in time."""
    if timeout is None:
        return await future
    timer = asyncio.get_running_loop().call_later(max(timeout, 0.0), _resolve, future, False)
    try:
        return await future
    finally:
        timer.cancel()


def _resolve(future: asyncio.Future[bool], result: bool) -> None:
    if not future.done():
        future.set_result(result)


class Turns:
    """Lets other tasks have their turn now and then where nothing else has to be waited for."""

    def __init__(self) -> None:
        self._left = _TURN

    async def take(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self._left = _TURN
            await asyncio.sleep(0)


class Readable:
    """Waits for a descriptor; any number of tasks may."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._waiting: set[asyncio.Future[bool]] = set()

    async def wait(self, timeout: float | None = None) -> bool:
        """Whether it is readable in time."""
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.add_reader(self._fd, self._wake)
        future = loop.create_future()
        self._waiting.add(future)
        try:
            return await _within(future, timeout)
        finally:
            self._waiting.discard(future)
            if not self._waiting:
                loop.remove_reader(self._fd)

    def _wake(self) -> None:
        for future in self._waiting:
            _resolve(future, True)
