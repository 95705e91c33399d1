"""Zeek events."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, TypeVar

from ._records import construct
from ._zeek_broker import Timestamp

__all__ = ["NETWORK_TIMESTAMP", "Event"]

T = TypeVar("T")

#: The id of the metadata that says when an event happened by the clock of the network.
NETWORK_TIMESTAMP = 1

_set = object.__setattr__

_NOTHING: Mapping[int, Any] = MappingProxyType({})


class Event:
    """An event of Zeek: a name, arguments, and metadata by number. It cannot be changed.

    >>> event = Event("Demo::ping", "hello", 5)
    >>> event
    Event('Demo::ping', 'hello', 5)
    >>> event.args
    ('hello', 5)

    With a record class the arguments become what their annotations say:

    >>> from dataclasses import dataclass
    >>> @dataclass
    ... class Ping:
    ...     text: str
    ...     number: int
    >>> event.args_as(Ping)
    Ping(text='hello', number=5)
    """

    __slots__ = ("args", "metadata", "name")
    __match_args__ = ("name", "args")

    name: str
    args: tuple[Any, ...]
    metadata: Mapping[int, Any]

    def __init__(
        self,
        name: str,
        *args: Any,
        metadata: Mapping[int, Any] | Iterable[tuple[int, Any]] | None = None,
    ) -> None:
        if not isinstance(name, str):
            raise TypeError("the name of an event is a str")
        entries = MappingProxyType(dict(metadata)) if metadata else _NOTHING
        _set(self, "name", name)
        _set(self, "args", args)
        _set(self, "metadata", entries)

    @classmethod
    def _received(cls, name: str, args: tuple[Any, ...], metadata: dict[int, Any]) -> Event:
        event = object.__new__(cls)
        _set(event, "name", name)
        _set(event, "args", args)
        _set(event, "metadata", MappingProxyType(metadata) if metadata else _NOTHING)
        return event

    @property
    def network_time(self) -> Timestamp | None:
        """When it happened by the clock of the network, if it says so."""
        time = self.metadata.get(NETWORK_TIMESTAMP)
        return time if isinstance(time, Timestamp) else None

    def args_as(self, record: type[T]) -> T:
        """The arguments as the fields of a dataclass, converted as these are annotated."""
        return construct(record, self.args)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError("an Event cannot be changed")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("an Event cannot be changed")

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Event):
            return NotImplemented
        return (
            self.name == other.name
            and self.args == other.args
            and dict(self.metadata) == dict(other.metadata)
        )

    def __hash__(self) -> int:
        return hash((self.name, self.args))

    def __repr__(self) -> str:
        parts = [repr(self.name), *map(repr, self.args)]
        if self.metadata:
            parts.append(f"metadata={dict(self.metadata)!r}")
        return f"Event({', '.join(parts)})"

    def __reduce__(self) -> tuple[Any, ...]:
        return Event._received, (self.name, self.args, dict(self.metadata))
