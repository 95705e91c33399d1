"""``broker._broker``: the names of the C++ module's native part."""

from __future__ import annotations

import datetime
import types
from typing import Any

from . import zeek as _zeek
from ._config import BrokerOptions, Configuration
from ._data import RawData as Data
from ._data import Set, Table, Vector
from ._endpoint import RawEndpoint as Endpoint
from ._endpoint import RawPublisher as Publisher
from ._endpoint import RawStatusSubscriber as StatusSubscriber
from ._endpoint import RawSubscriber as Subscriber
from ._endpoint import Store, VectorPeerInfo, VectorTopic
from ._enums import EC, SC, APIFlags, Backend, Frontend, PeerFlags, PeerStatus
from ._status import EndpointInfo, Error, NetworkInfo, OptionalNetworkInfo, PeerInfo, Status
from ._values import Address, Count, Enum, Port, Subnet, Timespan, Timestamp, Topic, now

Blocking, NonBlocking = APIFlags.Blocking, APIFlags.NonBlocking
Master, Clone = Frontend.Master, Frontend.Clone
Memory, SQLite = Backend.Memory, Backend.SQLite


class Message:
    """A leftover of the C++ module that nothing makes."""


class VectorPairTopicData(list):  # type: ignore[type-arg]
    """Messages."""


class VectorStatusSubscriberValueType(list):  # type: ignore[type-arg]
    """Statuses and errors."""


class _Optional:
    """Something that may be there."""

    __slots__ = ("_value",)

    def __init__(self, value: Any = None) -> None:
        self._value = value

    def is_set(self) -> bool:
        return self._value is not None

    def get(self) -> Any:
        if self._value is None:
            raise RuntimeError("bad optional access")
        return self._value


class OptionalSubscriberBaseValueType(_Optional):
    """A message that may be there."""


class OptionalTimespan(_Optional):
    """A time that may be there."""


class _Expected(_Optional):
    """A result that may be an error."""

    def is_valid(self) -> bool:
        return self.is_set()


class ExpectedData(_Expected):
    """A value that may be an error."""


class ExpectedStore(_Expected):
    """A store that may be an error."""


class MapBackendOptions(dict):  # type: ignore[type-arg]
    """Options of a store."""


def Infinite() -> OptionalTimespan:  # noqa: N802
    """No time limit."""
    return OptionalTimespan()


#: What the C++ library says about itself, in the version whose API this is.
Version = types.ModuleType("broker._broker.Version")
for _name, _number in (("MAJOR", 2), ("MINOR", 8), ("PATCH", 0), ("PROTOCOL", 2)):
    setattr(Version, _name, _number)
Version.compatible = lambda version: version == 2  # type: ignore[attr-defined]
Version.string = lambda: "2.8.0"  # type: ignore[attr-defined]

zeek = types.ModuleType("broker._broker.zeek")
zeek.Event = zeek.Message = _zeek.Event  # type: ignore[attr-defined]

utc = datetime.timezone.utc

__all__ = [
    "EC",
    "SC",
    "APIFlags",
    "Address",
    "Backend",
    "Blocking",
    "BrokerOptions",
    "Clone",
    "Configuration",
    "Count",
    "Data",
    "Endpoint",
    "EndpointInfo",
    "Enum",
    "Error",
    "ExpectedData",
    "ExpectedStore",
    "Frontend",
    "Infinite",
    "MapBackendOptions",
    "Master",
    "Memory",
    "Message",
    "NetworkInfo",
    "NonBlocking",
    "OptionalNetworkInfo",
    "OptionalSubscriberBaseValueType",
    "OptionalTimespan",
    "PeerFlags",
    "PeerInfo",
    "PeerStatus",
    "Port",
    "Publisher",
    "SQLite",
    "Set",
    "Status",
    "StatusSubscriber",
    "Store",
    "Subnet",
    "Subscriber",
    "Table",
    "Timespan",
    "Timestamp",
    "Topic",
    "Vector",
    "VectorPairTopicData",
    "VectorPeerInfo",
    "VectorStatusSubscriberValueType",
    "VectorTopic",
    "Version",
    "now",
    "zeek",
]
