"""The same for threads: calls that block, ``with`` and ``for``.

While a call waits other threads run, and so do handlers of signals: Ctrl+C ends it with
KeyboardInterrupt, and everything can be used as before.

>>> from zeek_broker import sync
>>> with sync.serve("tcp://127.0.0.1:0") as collector, collector.subscribe("/t") as subscriber:
...     with sync.connect(collector.url) as sensor:
...         sensor.publish("/t", "hello")
...         print(subscriber.next().value)
hello
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from . import _zeek_broker as native
from ._base import BaseEndpoint, BasePeering
from ._errors import Closed, Timeout
from ._options import Overflow, Policy, Retry, Seconds, Tls, seconds, topic_bytes
from ._status import StatusItem, item
from ._zeek_broker import Message

__all__ = ["Endpoint", "Events", "Peering", "Publisher", "Subscriber", "connect", "serve"]

_BATCH = 1024


def _wait(operation: native.Operation, timeout: Seconds | None = None) -> Any:
    limit = seconds(timeout)
    try:
        return operation.wait(limit)
    except Timeout:
        raise
    except TimeoutError:
        raise Timeout(f"not done within {limit} seconds") from None


class Subscriber:
    """Receives messages. Any number of threads may; each message goes to one of them."""

    def __init__(self, endpoint: native.Endpoint, queue: native.Subscriber) -> None:
        self._endpoint, self._queue = endpoint, queue

    def __enter__(self) -> Subscriber:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __iter__(self) -> Subscriber:
        return self

    def __next__(self) -> Message:
        found = self._queue.receive(1, 1)
        if not found:
            raise StopIteration
        return found[0]

    def next(self, timeout: Seconds | None = None) -> Message | None:
        """The next message; None if there is none in time. Closed when there will be none."""
        found = self.next_batch(1, timeout)
        return found[0] if found else None

    def next_batch(self, limit: int = _BATCH, timeout: Seconds | None = None) -> list[Message]:
        """All messages that are there, up to ``limit``; waits for the first. Nothing if there is
        none in time. Closed when there will be none."""
        found = self._queue.receive(1, limit, seconds(timeout))
        if not found and limit > 0 and self._queue.ended:
            raise Closed("the subscriber has been closed, or its endpoint shut down")
        return found

    def poll(self, limit: int = _BATCH) -> list[Message]:
        """The messages that are there, up to ``limit``."""
        return self._queue.receive(0, limit)

    def add(self, *topics: str | bytes) -> None:
        """Receives these topics as well."""
        self._queue.add(topic_bytes(topics))

    def remove(self, *topics: str | bytes) -> None:
        """No longer receives these topics."""
        self._queue.remove(topic_bytes(topics))

    def settled(self, timeout: Seconds | None = 10.0) -> bool:
        """Waits until the peers know which topics this and other subscribers want."""
        return bool(_wait(self._endpoint.flush(seconds(timeout))))

    @property
    def pending(self) -> int:
        """How many messages are there."""
        return self._queue.pending

    @property
    def dropped(self) -> int:
        """How many messages were dropped because this was too slow."""
        return self._queue.dropped

    def fileno(self) -> int:
        """A descriptor for ``select`` and the like, readable while there is something to
        receive."""
        return self._queue.fileno()

    def close(self) -> None:
        """Takes the subscriptions back. What has not been received is gone."""
        self._queue.close()


class Events:
    """What happens to an endpoint, for ``for`` and ``match``."""

    def __init__(self, events: native.Events) -> None:
        self._events = events

    def __iter__(self) -> Events:
        return self

    def __next__(self) -> StatusItem:
        found = self._events.receive(1, 1)
        if not found:
            raise StopIteration
        return item(found[0])

    def next(self, timeout: Seconds | None = None) -> StatusItem | None:
        """The next item; None if there is none in time. Closed when there will be none."""
        found = self._events.receive(1, 1, seconds(timeout))
        if not found and self._events.ended:
            raise Closed("the endpoint has been shut down")
        return item(found[0]) if found else None

    def poll(self, limit: int = _BATCH) -> list[StatusItem]:
        """The items that are there, up to ``limit``."""
        return [item(report) for report in self._events.receive(0, limit, 0)]

    @property
    def missed(self) -> int:
        """How many items were lost because nobody took them."""
        return self._events.missed

    def fileno(self) -> int:
        """A descriptor that is readable while there is something to receive."""
        return self._events.fileno()


class Peering(BasePeering):
    """A peering that was asked for."""

    def established(self, timeout: Seconds | None = None) -> Peering:
        """Waits until there is a peer and both sides know what the other wants.

        PeerUnavailable or PeerIncompatible if it was given up; Timeout if there is none in time,
        which changes nothing for the request."""
        _wait(self._request, timeout)
        return self

    def close(self) -> None:
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

    def publish(self, value: Any) -> None:
        """As ``Endpoint.publish``."""
        self._endpoint.publish(self._topic, value)

    def flush(self, timeout: Seconds | None = 10.0) -> bool:
        """As ``Endpoint.flush``."""
        return self._endpoint.flush(timeout)


class Endpoint(BaseEndpoint):
    """A node that publishes, subscribes, and peers with others. See ``zeek_broker.Endpoint``; any
    number of threads may use it."""

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def listen(self, url: str) -> str:
        """Accepts peers at an address, such as ``tls://0.0.0.0:9999``; port 0 picks a free one.
        Returns the address with its port. TransportError if that cannot be."""
        bound = str(_wait(self._native.listen(url)))
        self._write_log()
        return bound

    def peer(
        self, url: str, *, retry: Retry | None = None, timeout: Seconds | None = None
    ) -> Peering:
        """Peers with an address, and returns once both sides know what the other wants. Without
        ``retry`` it is tried once.

        PeerUnavailable or PeerIncompatible if there is no peering, Timeout if there is none in
        time; then it is not tried any more, nor if this is interrupted."""
        peering = self.peer_later(url, retry=retry or Retry.never())
        try:
            return peering.established(timeout)
        except BaseException:
            if not peering._request.done:
                peering.close()
            raise
        finally:
            self._write_log()

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

    def publish(self, topic: str | bytes, value: Any) -> None:
        """Publishes a value to the peers that want the topic. Waits only for room in the queues of
        slow peers."""
        self._native.publish(topic, value)

    def publisher(self, topic: str | bytes) -> Publisher:
        """A publisher for one topic."""
        return Publisher(self, topic)

    def flush(self, timeout: Seconds | None = 10.0) -> bool:
        """Waits until the peers have taken everything that was published before, and know which
        topics are wanted here. Returns whether that was in time."""
        return bool(_wait(self._native.flush(seconds(timeout))))

    def events(self) -> Events:
        """What happens from now on."""
        return Events(self._native.events())

    def wait_for_peer(self, id: str, timeout: Seconds | None = None) -> bool:
        """Whether the endpoint with this id is a peer in time."""
        return bool(_wait(self._native.await_peer(id, seconds(timeout))))

    def ping(self, id: str, timeout: Seconds | None = 10.0) -> float:
        """Seconds to a peer and back. Timeout if it is none or does not answer."""
        return float(_wait(self._native.ping(id, seconds(timeout))))

    def run(self) -> None:
        """Calls the handlers that ``on()`` has registered, one after the other, until the endpoint
        is closed by another thread or a handler raises an exception."""
        with self.subscribe(*self._handlers.topics()) as subscriber:
            for message in subscriber:
                for call in self._handlers.calls(message):
                    call()
                self._write_log()

    def close(self) -> None:
        """Ends all peerings; what was published before still reaches the peers. Nothing else can be
        done with the endpoint then."""
        _wait(self._native.shutdown())
        self._write_log()


@contextmanager
def connect(
    url: str,
    *,
    retry: Retry | None = None,
    timeout: Seconds | None = None,
    tls: Tls | None = None,
    overflow: Overflow = "wait",
    config: Mapping[str, Any] | None = None,
) -> Iterator[Endpoint]:
    """An endpoint that is peered with an address, for one ``with``."""
    with Endpoint(tls=tls, overflow=overflow, config=config) as endpoint:
        endpoint.peer(url, retry=retry, timeout=timeout)
        yield endpoint


@contextmanager
def serve(
    url: str,
    *,
    tls: Tls | None = None,
    forwarding: bool = True,
    overflow: Overflow = "wait",
    config: Mapping[str, Any] | None = None,
) -> Iterator[Endpoint]:
    """An endpoint that accepts peers at an address, for one ``with``. Its ``url`` is the address
    with its port."""
    endpoint = Endpoint(tls=tls, forwarding=forwarding, overflow=overflow, config=config)
    with endpoint:
        endpoint.url = endpoint.listen(url)
        yield endpoint
