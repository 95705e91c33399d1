"""The classes of values that Python has no class for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, NoReturn

from ._zeek_broker import Timespan, Timestamp

__all__ = ["Count", "Enum", "Port", "SafeTable", "Timespan", "Timestamp"]


class Count(int):
    """An unsigned number, Zeek's ``count``. Plain ``int`` is Zeek's ``int``.

    It is an ``int`` for all other purposes, and arithmetic with it gives an ``int``:

    >>> Count(5)
    Count(5)
    >>> Count(5) + 1
    6
    """

    __slots__ = ()

    def __new__(cls, value: Any = 0) -> Count:
        number = super().__new__(cls, value)
        if not 0 <= number < 2**64:
            raise OverflowError("a count is from 0 to 2**64 - 1")
        return number

    def __repr__(self) -> str:
        return f"Count({int(self)})"

    __str__ = int.__repr__


class Enum(str):
    """The label of an enum value of Zeek.

    >>> Enum("Notice::ACTION_LOG")
    Enum('Notice::ACTION_LOG')
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"Enum({super().__repr__()})"


class Port(NamedTuple):
    """A port and its protocol: ``tcp``, ``udp``, ``icmp`` or ``?``.

    >>> Port(53, "udp")
    Port(number=53, protocol='udp')
    >>> str(Port(80))
    '80/tcp'
    """

    number: int
    protocol: str = "tcp"

    def __str__(self) -> str:
        return f"{self.number}/{self.protocol}"


class SafeTable(dict[Any, Any]):
    """A table that is a member of a set or a key of another table: a ``dict`` that cannot be
    changed and can be hashed.

    >>> table = SafeTable({"a": 1})
    >>> {table: "found"}[SafeTable(a=1)]
    'found'
    """

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("a SafeTable cannot be changed")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __repr__(self) -> str:
        return f"SafeTable({super().__repr__()})"

    def __reduce__(self) -> tuple[type[SafeTable], tuple[dict[Any, Any]]]:
        return SafeTable, (dict(self),)

    @classmethod
    def fromkeys(cls, iterable: Iterable[Any], value: Any = None) -> SafeTable:
        return cls(dict.fromkeys(iterable, value))
