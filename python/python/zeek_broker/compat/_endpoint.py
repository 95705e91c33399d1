"""Endpoints, subscribers and publishers of the C++ module."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from typing import Any, NoReturn

from .. import _zeek_broker as native
from .._errors import BrokerError
from ._config import Configuration
from ._status import EndpointInfo, Error, PeerInfo, Status
from ._values import Topic, wrong_arguments

#: How long to wait for a peer if nobody says.
_AWAIT_PEER = 10.0

#: Bytes that may wait for a subscriber before its peers have to wait. There was no limit before.
_SUBSCRIBER_BYTES = 1 << 30

#: The most items, for those that take everything.
_ALL = (1 << 62) - 1

_STORES = (
    "zeek_broker has no data stores. Keep the data in the program and publish its changes as "
    "events, or use Zeek's own stores through events of a script; the C++ module has stores."
)


class Closed(RuntimeError, AttributeError):
    """The object has been given up by ``reset()`` or ``shutdown()``."""


class VectorTopic(list):  # type: ignore[type-arg]
    """Topics."""

    __module__ = "broker._broker"


class VectorPeerInfo(list):  # type: ignore[type-arg]
    """Peers."""

    __module__ = "broker._broker"


def _topic(topic: Any) -> str:
    if isinstance(topic, Topic):
        return topic.string()
    if isinstance(topic, bytes):
        return topic.decode()
    if not isinstance(topic, str):
        raise wrong_arguments("Topic()", "broker._broker.Topic(arg0: str)")
    return topic


def _topics(topics: Any) -> list[bytes]:
    if isinstance(topics, (str, bytes, Topic)):
        topics = [topics]
    if not isinstance(topics, Iterable):
        raise wrong_arguments("Topic()", "broker._broker.Topic(arg0: str)")
    return [_topic(topic).encode() for topic in topics]


def _url(scheme: str, host: str, port: int) -> str:
    if not isinstance(host, str) or not isinstance(port, int):
        raise TypeError("an address is a str and a port is an int")
    if not 0 <= port <= 65535:
        raise TypeError(f"a port is from 0 to 65535, not {port}")
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


class _Stream:
    """What subscribers and status subscribers have in common: a queue that is given up once."""

    _queue: Any
    _subscriber: Any

    def __init__(self, internal_subscriber: Any) -> None:
        self._subscriber = internal_subscriber

    def __enter__(self) -> Any:
        return self

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        self.reset()

    def reset(self) -> None:
        self._open().reset()
        self._subscriber = None

    def _open(self) -> Any:
        if self._subscriber is None:
            raise Closed("the subscriber has been reset")
        return self._subscriber

    def available(self) -> int:
        return int(self._open().available())

    def fd(self) -> int:
        return int(self._open().fd())

    def poll(self) -> list[Any]:
        return list(self._take(0, _ALL, 0))

    def _take(self, least: int, most: int, timeout: float | None) -> list[Any]:
        raise NotImplementedError

    def get(self, *args: Any, **kwargs: Any) -> Any:
        """``get()`` waits for an item, ``get(seconds)`` returns None if there is none in time,
        ``get(n)`` waits for exactly that many, ``get(n, seconds)`` returns those that came."""
        if kwargs:
            raise TypeError(f"get() takes no keyword arguments, but got {', '.join(kwargs)}")
        if len(args) > 2 or not all(isinstance(arg, (int, float)) for arg in args):
            raise wrong_arguments("get()", "(self, num: int, timeout: float)")
        if not args:
            items = self._take(1, 1, None)
            if not items:
                raise Closed("subscriber queue closed")
            return items[0]
        if len(args) == 2:
            if not isinstance(args[0], int) or args[0] < 0:
                raise wrong_arguments("get()", "(self, num: int, timeout: float)")
            # As many as come in time.
            return self._take(int(args[0]), int(args[0]), float(args[1]))
        if isinstance(args[0], int) and args[0] >= 0:
            return self._take(int(args[0]), int(args[0]), None)
        items = self._take(1, 1, float(args[0]))
        return items[0] if items else None


class RawSubscriber:
    """``_broker.Subscriber``: what a subscriber class is made from."""

    __slots__ = ("endpoint", "queue")
    __module__ = "broker._broker"

    def __init__(self, endpoint: native.Endpoint, queue: native.Subscriber) -> None:
        self.endpoint, self.queue = endpoint, queue

    def reset(self) -> None:
        self.queue.close()

    def available(self) -> int:
        return self.queue.pending

    def fd(self) -> int:
        return self.queue.fileno()

    def settle(self) -> None:
        self.endpoint.flush(_AWAIT_PEER).wait()


class Subscriber(_Stream):
    """Receives messages as pairs of topic and value."""

    __module__ = "broker"
    _flavor = 1

    def _take(self, least: int, most: int, timeout: float | None) -> list[Any]:
        queue: native.Subscriber = self._open().queue
        return queue.receive_pairs(least, most, timeout, self._flavor)

    def add_topic(self, topic: Any, block: bool = False) -> None:
        self._open().queue.add(_topics(topic))
        if block:
            self._subscriber.settle()

    def remove_topic(self, topic: Any, block: bool = False) -> None:
        self._open().queue.remove(_topics(topic))
        if block:
            self._subscriber.settle()


class SafeSubscriber(Subscriber):
    """Receives messages whose values cannot be changed, so that sets may hold any of them."""

    __module__ = "broker"
    _flavor = 2


class RawStatusSubscriber:
    """``_broker.StatusSubscriber``."""

    __slots__ = ("events",)
    __module__ = "broker._broker"

    def __init__(self, events: native.Events) -> None:
        self.events = events

    def reset(self) -> None:
        pass

    def available(self) -> int:
        return self.events.pending

    def fd(self) -> int:
        return self.events.fileno()


class StatusSubscriber(_Stream):
    """Receives ``Status`` and ``Error``."""

    __module__ = "broker"

    def _take(self, least: int, most: int, timeout: float | None) -> list[Any]:
        events: native.Events = self._open().events
        return [_item(report) for report in events.receive(least, most, timeout)]


def _item(report: tuple[Any, ...]) -> Status | Error:
    return Error._of(report) if report[0] == "error" else Status._of(report)


class RawPublisher:
    """``_broker.Publisher``."""

    __slots__ = ("endpoint", "ready", "topic")
    __module__ = "broker._broker"

    def __init__(self, endpoint: native.Endpoint, topic: str) -> None:
        self.endpoint, self.topic = endpoint, topic
        # Always readable, as there is always room.
        self.ready = native.Completions()


class Publisher:
    """Publishes on one topic. What is published is on its way at once, so nothing is ever buffered
    here."""

    __module__ = "broker"
    _publisher: RawPublisher | None

    def __init__(self, internal_publisher: RawPublisher) -> None:
        self._publisher = internal_publisher

    def __enter__(self) -> Publisher:
        return self

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        self.reset()

    def _open(self) -> RawPublisher:
        if self._publisher is None:
            raise Closed("the publisher has been reset")
        return self._publisher

    def reset(self) -> None:
        self._open()
        self._publisher = None

    def publish(self, data: Any) -> None:
        publisher = self._open()
        publisher.endpoint.publish(publisher.topic, data, True)

    def publish_batch(self, *batch: Any) -> None:
        for data in batch:
            self.publish(data)

    def buffered(self) -> int:
        self._open()
        return 0

    def capacity(self) -> int:
        self._open()
        return 128

    def free_capacity(self) -> int:
        return self.capacity() - self.buffered()

    def demand(self) -> int:
        return self.free_capacity()

    def send_rate(self) -> int:
        self._open()
        return 0

    def fd(self) -> int:
        return self._open().ready.fileno()


class RawEndpoint:
    """``_broker.Endpoint``."""

    __module__ = "broker._broker"

    def __init__(self, configuration: Configuration | None = None) -> None:
        if configuration is not None and not isinstance(configuration, Configuration):
            supported = "broker._broker.Endpoint(arg0: broker._broker.Configuration)"
            raise wrong_arguments("Endpoint()", supported)
        settings, self._scheme = (configuration or Configuration())._settings()
        self._native: native.Endpoint | None = native.Endpoint(json.dumps(settings))
        self._id = self._native.id

    def _open(self) -> native.Endpoint:
        if self._native is None:
            raise Closed("the endpoint has been shut down")
        return self._native

    def node_id(self) -> str:
        return self._id

    def __repr__(self) -> str:
        return self._id

    def listen(self, address: str = "", port: int = 0) -> int:
        url = _url(self._scheme, address, port)
        try:
            bound: str = self._open().listen(url).wait()
        except BrokerError:
            return 0
        return int(bound.rpartition(":")[2])

    def peer(self, addr: str, port: int, retry: float = 10.0) -> bool:
        endpoint, url = self._open(), _url(self._scheme, addr, port)
        request = endpoint.peer(url, _whole(retry), True)
        try:
            request.wait()
        except BrokerError:
            return False
        except BaseException:
            # An interrupted call leaves nothing behind.
            request.cancel()
            endpoint.unpeer(url)
            raise
        return True

    def peer_nosync(self, addr: str, port: int, retry: float = 10.0) -> None:
        self._open().peer(_url(self._scheme, addr, port), _whole(retry), True)

    def unpeer(self, addr: str, port: int) -> bool:
        self._open().unpeer(_url(self._scheme, addr, port))
        return True

    def unpeer_nosync(self, addr: str, port: int) -> None:
        self.unpeer(addr, port)

    def peers(self) -> VectorPeerInfo:
        return VectorPeerInfo(
            PeerInfo._of(id, host, port, status)
            for id, host, port, _, status, _, _ in self._open().peers()
        )

    def peer_subscriptions(self) -> VectorTopic:
        topics = self._open().peer_subscriptions()
        return VectorTopic(Topic(bytes(topic)) for topic in topics)

    def forward(self, topics: Any) -> None:
        self._open().forward(_topics(topics))

    def publish(self, topic: Any, data: Any) -> None:
        self._open().publish(_topic(topic), data, True)

    def publish_batch(self, *batch: tuple[Any, Any]) -> None:
        for topic, data in batch:
            self.publish(topic, data)

    def await_peer(self, node_id: str, timeout: float | None = None) -> bool:
        try:
            request = self._open().await_peer(node_id, timeout or _AWAIT_PEER)
        except ValueError:
            return False
        return bool(request.wait())

    def shutdown(self) -> None:
        endpoint, self._native = self._native, None
        if endpoint is not None:
            endpoint.shutdown().wait()


def _whole(retry: float) -> float:
    """Seconds without their fraction: below one there is one attempt only."""
    return float(max(0, int(retry)))


class Endpoint(RawEndpoint):
    """An endpoint: ``Endpoint()`` or ``Endpoint(configuration)``."""

    __module__ = "broker"

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(self, type: Any, value: Any, traceback: Any) -> None:
        self.shutdown()

    def make_subscriber(
        self, topics: Any, qsize: int = 20, subscriber_class: Any = Subscriber
    ) -> Any:
        endpoint = self._open()
        queue = endpoint.subscribe(_topics(topics), _ALL, _SUBSCRIBER_BYTES, "wait")
        return subscriber_class(RawSubscriber(endpoint, queue))

    def make_safe_subscriber(self, topics: Any, qsize: int = 20) -> Any:
        return self.make_subscriber(topics, qsize, SafeSubscriber)

    def make_status_subscriber(self, receive_statuses: bool = False) -> StatusSubscriber:
        events = self._open().events(bool(receive_statuses), True, False, not _old_statuses())
        return StatusSubscriber(RawStatusSubscriber(events))

    def make_publisher(self, topic: Any) -> Publisher:
        return Publisher(RawPublisher(self._open(), _topic(topic)))

    def attach_master(self, name: str, type: Any = None, opts: Any = None) -> NoReturn:
        raise NotImplementedError(_STORES)

    def attach_clone(self, name: str) -> NoReturn:
        raise NotImplementedError(_STORES)


class Store:
    """Data stores, which this package does not have."""

    __module__ = "broker"

    def __init__(self, *args: Any) -> None:
        raise NotImplementedError(_STORES)


def _old_statuses() -> bool:
    """Whether to report what version 1 did: only peers, and no other endpoints."""
    return os.environ.get("ZEEK_BROKER_COMPAT", "").startswith("1")


__all__ = [
    "Closed",
    "Endpoint",
    "EndpointInfo",
    "Publisher",
    "SafeSubscriber",
    "StatusSubscriber",
    "Store",
    "Subscriber",
    "VectorPeerInfo",
    "VectorTopic",
]
