"""Peer with Zeek and Broker: publish and subscribe over Broker's native protocol.

>>> import asyncio, zeek_broker
>>> async def main():
...     async with zeek_broker.serve("tcp://127.0.0.1:0") as collector:
...         async with collector.subscribe("/zeek") as subscriber:
...             async with zeek_broker.connect(collector.url) as sensor:
...                 await sensor.publish("/zeek/demo", zeek_broker.Event("ping", "hello", 5))
...                 message = await subscriber.next()
...                 print(message.topic, message.event)
>>> asyncio.run(main())
/zeek/demo Event('ping', 'hello', 5)

``zeek_broker.sync`` has the same for threads, and ``zeek_broker.compat`` the API of the C++
Broker's own Python module for scripts that were written for that.
"""

import atexit as _atexit
import os as _os

from ._endpoint import Endpoint, Events, Peering, Publisher, Subscriber, connect, serve
from ._errors import (
    BrokerError,
    Closed,
    InvalidData,
    PeerIncompatible,
    PeerUnavailable,
    Timeout,
    TlsError,
    TransportError,
)
from ._event import NETWORK_TIMESTAMP, Event
from ._options import Overflow, Policy, Retry, Tls
from ._status import (
    EndpointDiscovered,
    EndpointUnreachable,
    PeerAdded,
    PeerError,
    PeerInfo,
    PeerLost,
    PeerRemoved,
    StatusItem,
)
from ._values import Count, Enum, Port, SafeTable
from ._zeek_broker import VERSION as __version__
from ._zeek_broker import Message, Timespan, Timestamp
from ._zeek_broker import after_fork_in_child as _after_fork_in_child
from ._zeek_broker import end_waits as _end_waits

_os.register_at_fork(after_in_child=_after_fork_in_child)
_atexit.register(_end_waits)

__all__ = [
    "NETWORK_TIMESTAMP",
    "BrokerError",
    "Closed",
    "Count",
    "Endpoint",
    "EndpointDiscovered",
    "EndpointUnreachable",
    "Enum",
    "Event",
    "Events",
    "InvalidData",
    "Message",
    "Overflow",
    "PeerAdded",
    "PeerError",
    "PeerIncompatible",
    "PeerInfo",
    "PeerLost",
    "PeerRemoved",
    "PeerUnavailable",
    "Peering",
    "Policy",
    "Port",
    "Publisher",
    "Retry",
    "SafeTable",
    "StatusItem",
    "Subscriber",
    "Timeout",
    "Timespan",
    "Timestamp",
    "Tls",
    "TlsError",
    "TransportError",
    "__version__",
    "connect",
    "serve",
]
