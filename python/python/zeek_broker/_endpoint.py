"""Endpoints for asyncio."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Generator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from . import _zeek_broker as native
from ._aio import Readable, Turns, wait
from ._base import BaseEndpoint, BasePeering
from ._errors import Closed
from ._options import Overflow, Policy, Retry, Seconds, Tls, seconds, topic_bytes
from ._status import StatusItem, item
from ._zeek_broker import Message

__all__ = ["Endpoint", "Events", "Peering", "Publisher", "Subscriber", "connect", "serve"]

#: How many items are taken at once at most, unless somebody says.
_BATCH = 1024


class Subscriber:
    """Receives messages::

        async with endpoint.subscribe("/topic") as subscriber:
            async for message in subscriber:
                print(message.topic, message.value)

    The iteration ends when the endpoint is closed. Any number of tasks may receive, and each
    message goes to one of them; whoever is cancelled while waiting has received nothing."""

    def __init__(self, endpoint: native.Endpoint, queue: native.Subscriber) -> None:
        self._endpoint, self._queue = endpoint, queue
        self._readable = Readable(queue.fileno())
        self._turns = Turns()

    async def __aenter__(self) -> Subscriber:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self.close()

    def __aiter__(self) -> Subscriber:
        return self

    async def __anext__(self) -> Message:
        await self._turns.take()
        while True:
            found = self._queue.receive(0, 1)
            if found:
                return found[0]
            if self._queue.ended:
                raise StopAsyncIteration
            await self._readable.wait()

    async def next(self, timeout: Seconds | None = None) -> Message | None:
        """The next message; None if there is none in time. Closed when there will be none."""
        found = await self.next_batch(1, timeout)
        return found[0] if found else None

    async def next_batch(
        self, limit: int = _BATCH, timeout: Seconds | None = None
    ) -> list[Message]:
        """All messages that are there, up to ``limit``; waits for the first. Nothing if there is
        none in time. Closed when there will be none."""
        await self._turns.take()
        while True:
            found = self._queue.receive(0, limit)
            if found or limit <= 0:
                return found
            if self._queue.ended:
                raise Closed("the subscriber has been closed, or its endpoint shut down")
            if not await self._readable.wait(seconds(timeout)):
                return self._queue.receive(0, limit)

    def poll(self, limit: int = _BATCH) -> list[Message]:
        """The messages that are there, up to ``limit``."""
        return self._queue.receive(0, limit)

    def add(self, *topics: str | bytes) -> None:
        """Receives these topics as well."""
        self._queue.add(topic_bytes(topics))

    def remove(self, *topics: str | bytes) -> None:
        """No longer receives these topics."""
        self._queue.remove(topic_bytes(topics))

    async def settled(self, timeout: Seconds | None = 10.0) -> bool:
        """Waits until the peers know which topics this and other subscribers want."""
        return bool(await wait(self._endpoint.flush(seconds(timeout))))

    @property
    def pending(self) -> int:
        """How many messages are there."""
        return self._queue.pending

    @property
    def dropped(self) -> int:
        """How many messages were dropped because this was too slow."""
        return self._queue.dropped

    def fileno(self) -> int:
        """A descriptor for loops of other kinds, readable while there is something to
        ``poll()``."""
        return self._queue.fileno()

    def close(self) -> None:
        """Takes the subscriptions back. What has not been received is gone."""
        self._queue.close()


class Events:
    """What happens to an endpoint, for ``async for`` and ``match``."""

    def __init__(self, events: native.Events) -> None:
        self._events = events
        self._readable = Readable(events.fileno())

    def __aiter__(self) -> Events:
        return self

    async def __anext__(self) -> StatusItem:
        while True:
            found = self._events.receive(0, 1, 0)
            if found:
                return item(found[0])
            if self._events.ended:
                raise StopAsyncIteration
            await self._readable.wait()

    async def next(self, timeout: Seconds | None = None) -> StatusItem | None:
        """The next item; None if there is none in time. Closed when there will be none."""
        while True:
            found = self._events.receive(0, 1, 0)
            if found:
                return item(found[0])
            if self._events.ended:
                raise Closed("the endpoint has been shut down")
            if not await self._readable.wait(seconds(timeout)):
                return None

    def poll(self, limit: int = _BATCH) -> list[StatusItem]:
        """The items that are there, up to ``limit``."""
        return [item(report) for report in self._events.receive(0, limit, 0)]

    @property
    def missed(self) -> int:
        """How many items were lost because nobody took them."""
        return self._events.missed

    def fileno(self) -> int:
        """A descriptor that is readable while there is something to ``poll()``."""
        return self._events.fileno()


class Peering(BasePeering):
    """A peering that was asked for. Awaiting it waits until there is one."""

    def __await__(self) -> Generator[Any, None, Peering]:
        return self.established().__await__()

    async def established(self, timeout: Seconds | None = None) -> Peering:
        """Waits until there is a peer and both sides know what the other wants.

        PeerUnavailable or PeerIncompatible if it was given up; Timeout if there is none in time,
        which changes nothing for the request."""
        await wait(self._request, seconds(timeout), cancel=False)
        return self

    async def close(self) -> None:
        """Ends the peering, or stops trying. What was published before still reaches the peer."""
        self._endpoint.unpeer(self._url)


class Publisher:
    """Publishes on one topic."""

    def __init__(self, endpoint: Endpoint, topic: str | bytes) -> None:
        self._endpoint, self._topic = endpoint, topic

    @property
    def topic(self) -> str | bytes:
        """The topic."""
        return self._topic

    async def publish(self, value: Any) -> None:
        """As ``Endpoint.publish``."""
        await self._endpoint.publish(self._topic, value)

    async def flush(self, timeout: Seconds | None = 10.0) -> bool:
        """As ``Endpoint.flush``."""
        return await self._endpoint.flush(timeout)


class Endpoint(BaseEndpoint):
    """A node that publishes, subscribes, and peers with others::

        async with Endpoint() as endpoint:
            await endpoint.peer("tls://127.0.0.1:9999")
            await endpoint.publish("/topic", Event("Demo::ping", "hello"))

    ``overflow`` says what happens to messages for a peer that is too slow; by default publishers
    wait. ``config`` has any of the settings of a configuration file of ``broker-cli``, by their
    names there, such as ``{"limits": {"peers": 10}}``."""

    def __init__(
        self,
        *,
        tls: Tls | None = None,
        forwarding: bool = True,
        overflow: Overflow = "wait",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(tls=tls, forwarding=forwarding, overflow=overflow, config=config)
        self._turns = Turns()

    @classmethod
    async def open(
        cls,
        *,
        tls: Tls | None = None,
        forwarding: bool = True,
        overflow: Overflow = "wait",
        config: Mapping[str, Any] | None = None,
    ) -> Endpoint:
        """An endpoint, whose certificates are read without holding up the event loop."""

        def make() -> Endpoint:
            return cls(tls=tls, forwarding=forwarding, overflow=overflow, config=config)

        endpoint = await asyncio.to_thread(make)
        endpoint._watch_log()
        return endpoint

    async def __aenter__(self) -> Endpoint:
        self._watch_log()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    def _watch_log(self) -> None:
        """Lets the event loop write the log."""
        loop, fd = asyncio.get_running_loop(), self._logs.fileno()

        def write() -> None:
            self._write_log()
            if self._logs.ended:
                loop.remove_reader(fd)

        loop.add_reader(fd, write)

    async def listen(self, url: str) -> str:
        """Accepts peers at an address, such as ``tls://0.0.0.0:9999``; port 0 picks a free one.
        Returns the address with its port. TransportError if that cannot be."""
        return str(await wait(self._native.listen(url)))

    async def peer(
        self, url: str, *, retry: Retry | None = None, timeout: Seconds | None = None
    ) -> Peering:
        """Peers with an address, and returns once both sides know what the other wants. Without
        ``retry`` it is tried once.

        PeerUnavailable or PeerIncompatible if there is no peering, Timeout if there is none in
        time; then it is not tried any more, nor if this is cancelled."""
        peering = self.peer_later(url, retry=retry or Retry.never())
        try:
            return await peering.established(timeout)
        except BaseException:
            if not peering._request.done:
                await peering.close()
            raise

    def peer_later(self, url: str, *, retry: Retry | None = None) -> Peering:
        """Peers with an address in the background, by default trying every ten seconds."""
        every = (retry or Retry.every(10)).seconds
        return Peering(self._native, url, self._native.peer(url, every))

    def subscribe(
        self, *topics: str | bytes, buffer: int | None = None, policy: Policy = "drop_oldest"
    ) -> Subscriber:
        """Receives messages on topics that begin with one of these. ``buffer`` is how many may
        wait, and ``policy`` what happens to the rest."""
        return Subscriber(self._native, self._subscribe(topics, buffer, policy))

    async def publish(self, topic: str | bytes, value: Any) -> None:
        """Publishes a value to the peers that want the topic. Waits only for room in the queues of
        slow peers."""
        await self._turns.take()
        waiting = self._native.publish_or_start(topic, value)
        if waiting is not None:
            await wait(waiting)

    def publisher(self, topic: str | bytes) -> Publisher:
        """A publisher for one topic."""
        return Publisher(self, topic)

    async def flush(self, timeout: Seconds | None = 10.0) -> bool:
        """Waits until the peers have taken everything that was published before, and know which
        topics are wanted here. Returns whether that was in time."""
        return bool(await wait(self._native.flush(seconds(timeout))))

    def events(self) -> Events:
        """What happens from now on."""
        return Events(self._native.events())

    async def wait_for_peer(self, id: str, timeout: Seconds | None = None) -> bool:
        """Whether the endpoint with this id is a peer in time."""
        return bool(await wait(self._native.await_peer(id, seconds(timeout))))

    async def ping(self, id: str, timeout: Seconds | None = 10.0) -> float:
        """Seconds to a peer and back. Timeout if it is none or does not answer."""
        return float(await wait(self._native.ping(id, seconds(timeout))))

    async def run(self) -> None:
        """Calls the handlers that ``on()`` has registered, one after the other, until the endpoint
        is closed or a handler raises an exception. Coroutines are awaited."""
        topics = self._handlers.topics()
        async with self.subscribe(*topics) as subscriber:
            async for message in subscriber:
                for call in self._handlers.calls(message):
                    result = call()
                    if inspect.isawaitable(result):
                        await result

    async def close(self) -> None:
        """Ends all peerings; what was published before still reaches the peers. Nothing else can be
        done with the endpoint then."""
        await wait(self._native.shutdown())
        self._write_log()
        asyncio.get_running_loop().remove_reader(self._logs.fileno())


@asynccontextmanager
async def connect(
    url: str,
    *,
    retry: Retry | None = None,
    timeout: Seconds | None = None,
    tls: Tls | None = None,
    overflow: Overflow = "wait",
    config: Mapping[str, Any] | None = None,
) -> AsyncIterator[Endpoint]:
    """An endpoint that is peered with an address, for one ``async with``."""
    async with Endpoint(tls=tls, overflow=overflow, config=config) as endpoint:
        await endpoint.peer(url, retry=retry, timeout=timeout)
        yield endpoint


@asynccontextmanager
async def serve(
    url: str,
    *,
    tls: Tls | None = None,
    forwarding: bool = True,
    overflow: Overflow = "wait",
    config: Mapping[str, Any] | None = None,
) -> AsyncIterator[Endpoint]:
    """An endpoint that accepts peers at an address, for one ``async with``. Its ``url`` is the
    address with its port."""
    endpoint = Endpoint(tls=tls, forwarding=forwarding, overflow=overflow, config=config)
    async with endpoint:
        endpoint.url = await endpoint.listen(url)
        yield endpoint
