"""``broker.zeek``: events of Zeek, as the C++ module has them."""

from __future__ import annotations

from typing import Any

from .. import _zeek_broker as native
from ._data import RawData
from ._values import Count

_REGULAR, _IMMUTABLE = 1, 2


class MetadataType:
    """The numbers of metadata."""

    NetworkTimestamp = Count(1)
    UserMetadataStart = Count(200)


class Event:
    """An event: ``Event(name, argument, ...)``, or ``Event(value)`` from a received value."""

    __module__ = "broker.zeek"
    _flavor = _REGULAR
    _event: native.RawData

    def __init__(self, *args: Any, metadata: Any = None) -> None:
        if len(args) == 1 and not isinstance(args[0], str):
            source = args[0]
            self._event = source._event if isinstance(source, Event) else native.RawData(source)
            return
        # Without a name this is an IndexError.
        name = args[0]
        if not isinstance(name, str):
            raise TypeError("Event(): incompatible constructor arguments: the name is a str")
        self._event = native.RawData.event(name, args[1:], _pairs(metadata))

    @property
    def __broker_data__(self) -> native.RawData:
        return self._event

    def valid(self) -> bool:
        """Whether it has the form of an event."""
        return self._event.is_event()

    def name(self) -> str:
        return self._event.event_name()

    def args(self) -> list[Any]:
        return self._event.event_args(self._flavor)

    def metadata(self) -> list[Any] | None:
        """Pairs of number and value, or None if there are none."""
        return self._event.event_metadata(_REGULAR) or None

    def as_data(self) -> RawData:
        return RawData(self._event)


def _pairs(metadata: Any) -> list[tuple[int, Any]]:
    if metadata is None:
        return []
    pairs = metadata.items() if hasattr(metadata, "items") else metadata
    return [(key.value if isinstance(key, Count) else key, value) for key, value in pairs]


class SafeEvent(Event):
    """An event whose arguments cannot be changed, so that sets may hold any of them."""

    __module__ = "broker.zeek"
    _flavor = _IMMUTABLE
