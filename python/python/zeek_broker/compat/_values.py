"""The value classes of the C++ module that need not be fast: what they are made of is Python's."""

from __future__ import annotations

import functools
import time
from typing import Any

from .. import _zeek_broker as native
from ._enums import ByteOrder, Family, Protocol

Count = native.Count
Enum = native.Enum

_I64 = range(-(2**63), 2**63)


def wrong_arguments(what: str, supported: str) -> TypeError:
    """The exception for arguments that no overload takes, as in the C++ module."""
    kind = "constructor" if what.endswith("()") and what[0].isupper() else "function"
    return TypeError(
        f"{what}: incompatible {kind} arguments. The following argument types are supported:\n"
        f"    1. {supported}"
    )


Port = native.Port


def _get_type(port: native.Port) -> Any:
    return Protocol(port._protocol())


# Received ports are of this very class, so what it lacks is added to it.
for _name, _value in (
    ("Protocol", Protocol),
    ("get_type", _get_type),
    *Protocol.__members__.items(),
):
    setattr(Port, _name, _value)


class _Native:
    """What the value classes have in common: they convert to a value of the wire."""

    __slots__ = ()

    @property
    def __broker_data__(self) -> native.RawData:
        return native.RawData.from_bytes(self._encoded())

    def _encoded(self) -> bytes:
        raise NotImplementedError


@functools.total_ordering
class _Ordered(_Native):
    """Values that compare by what they are made of, with those of the same class only."""

    __slots__ = ()

    def _key(self) -> Any:
        raise NotImplementedError

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self._key() == other._key())

    def __lt__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return bool(self._key() < other._key())

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return native.RawData.text(self.__broker_data__).decode()

    __str__ = __repr__


_V4_PREFIX = b"\0" * 10 + b"\xff\xff"


class Address(_Ordered):
    """An IPv4 or IPv6 address, of 16 bytes."""

    __slots__ = ("_bytes",)
    __module__ = "broker._broker"
    Family, ByteOrder = Family, ByteOrder
    IPv4, IPv6 = Family.IPv4, Family.IPv6
    Host, Network = ByteOrder.Host, ByteOrder.Network

    def __init__(self, data: bytes = b"\0" * 16, version: int | None = None) -> None:
        if version is None and data == b"\0" * 16:
            version = 6
        if not isinstance(data, bytes) or version not in (4, 6):
            raise wrong_arguments("Address()", "broker._broker.Address(arg0: bytes, arg1: int)")
        size = 4 if version == 4 else 16
        if len(data) != size:
            raise ValueError(f"an IPv{version} address has {size} bytes, not {len(data)}")
        self._bytes = _V4_PREFIX + data if version == 4 else data

    def _key(self) -> bytes:
        return self._bytes

    def _encoded(self) -> bytes:
        return b"\x06" + self._bytes

    def mask(self, top_bits_to_keep: int) -> bool:
        """Clears all but the first so many of the 128 bits."""
        if not 0 <= top_bits_to_keep <= 128:
            return False
        keep = ((1 << top_bits_to_keep) - 1) << (128 - top_bits_to_keep)
        number = int.from_bytes(self._bytes, "big") & keep
        self._bytes = number.to_bytes(16, "big")
        return True

    def is_v4(self) -> bool:
        return self._bytes.startswith(_V4_PREFIX)

    def is_v6(self) -> bool:
        return not self.is_v4()

    def bytes(self) -> bytes:
        return self._bytes


class Subnet(_Ordered):
    """A network: an address and the length of its prefix."""

    __slots__ = ("_address", "_length")
    __module__ = "broker._broker"

    def __init__(self, address: Address | None = None, length: int = 0) -> None:
        if address is not None and not isinstance(address, Address):
            supported = "broker._broker.Subnet(arg0: broker._broker.Address, arg1: int)"
            raise wrong_arguments("Subnet()", supported)
        if not 0 <= length <= 255:
            raise TypeError("the length of a prefix is from 0 to 255")
        masked = Address(address.bytes(), 6) if address else Address()
        raw = length + 96 if masked.is_v4() else length
        # What is too long for the family is nothing, as in the C++ module.
        if not masked.mask(raw):
            masked, raw = Address(), 0
        self._address, self._length = masked, raw

    @classmethod
    def _of(cls, data: bytes, length: int) -> Subnet:
        subnet = cls()
        subnet._address, subnet._length = Address(data, 6), length
        return subnet

    def _key(self) -> tuple[bytes, int]:
        return self._address.bytes(), self._length

    def _encoded(self) -> bytes:
        return b"\x07" + self._address.bytes() + bytes([self._length])

    def contains(self, address: Address) -> bool:
        other = Address(address.bytes(), 6)
        return other.mask(self._length) and other == self._address

    def network(self) -> Address:
        return self._address

    def length(self) -> int:
        return self._length - 96 if self._address.is_v4() else self._length


def _nanoseconds(seconds: float) -> int:
    try:
        number = round(seconds * 10**9)
    except ValueError:
        number = _I64.stop
    if number not in _I64:
        raise OverflowError(f"{seconds} seconds are more than nanoseconds in 64 bits can count")
    return number


class Timespan(_Ordered):
    """A length of time. An ``int`` is nanoseconds, a ``float`` seconds."""

    __slots__ = ("_ns",)
    __module__ = "broker._broker"

    def __init__(self, value: float = 0) -> None:
        if isinstance(value, int):
            if value not in _I64:
                raise OverflowError("more nanoseconds than 64 bits can count")
            self._ns = int(value)
        elif isinstance(value, float):
            self._ns = _nanoseconds(value)
        else:
            raise wrong_arguments("Timespan()", "broker._broker.Timespan(ns: int)")

    def _key(self) -> int:
        return self._ns

    def _encoded(self) -> bytes:
        return b"\x0a" + self._ns.to_bytes(8, "big", signed=True)

    def count(self) -> int:
        return self._ns

    def __add__(self, other: Timespan) -> Timespan:
        return Timespan(self._ns + other._ns) if isinstance(other, Timespan) else NotImplemented

    def __sub__(self, other: Timespan) -> Timespan:
        return Timespan(self._ns - other._ns) if isinstance(other, Timespan) else NotImplemented

    def __mul__(self, other: int) -> Timespan:
        return Timespan(self._ns * other) if isinstance(other, int) else NotImplemented

    __rmul__ = __mul__

    def __truediv__(self, other: Timespan | int) -> Any:
        if isinstance(other, Timespan):
            return _truncated(self._ns, other._ns)
        return Timespan(_truncated(self._ns, other)) if isinstance(other, int) else NotImplemented

    def __mod__(self, other: Timespan | int) -> Timespan:
        divisor = other._ns if isinstance(other, Timespan) else other
        if not isinstance(divisor, int):
            return NotImplemented
        return Timespan(self._ns - _truncated(self._ns, divisor) * divisor)


def _truncated(a: int, b: int) -> int:
    """Division of integers towards zero, as in C++."""
    quotient = abs(a) // abs(b)
    return quotient if (a < 0) == (b < 0) else -quotient


class Timestamp(_Ordered):
    """A point in time. A number is seconds since 1970."""

    __slots__ = ("_ns",)
    __module__ = "broker._broker"

    def __init__(self, value: Any = 0) -> None:
        if isinstance(value, Timespan):
            self._ns = value.count()
        elif isinstance(value, (int, float)):
            self._ns = _nanoseconds(value)
        else:
            raise wrong_arguments("Timestamp()", "broker._broker.Timestamp(arg0: float)")

    def _key(self) -> int:
        return self._ns

    def _encoded(self) -> bytes:
        return b"\x09" + self._ns.to_bytes(8, "big", signed=True)

    def time_since_epoch(self) -> Timespan:
        return Timespan(self._ns)


def now() -> Timestamp:
    """The time now."""
    return Timestamp(Timespan(time.time_ns()))


class Topic:
    """A topic. It equals nothing but itself, as in the C++ module."""

    __slots__ = ("_text",)
    __module__ = "broker._broker"

    def __init__(self, text: str | bytes) -> None:
        if not isinstance(text, (str, bytes)):
            raise wrong_arguments("Topic()", "broker._broker.Topic(arg0: str)")
        self._text = text if isinstance(text, str) else text.decode()

    def string(self) -> str:
        return self._text

    def __truediv__(self, other: Topic) -> Topic:
        return (
            Topic(_joined(self._text, other._text)) if isinstance(other, Topic) else NotImplemented
        )

    def __itruediv__(self, other: Topic) -> Topic:
        if not isinstance(other, Topic):
            return NotImplemented
        self._text = _joined(self._text, other._text)
        return self

    def __repr__(self) -> str:
        return self._text


def _joined(left: str, right: str) -> str:
    between = "/" if left and right and not right.startswith("/") else ""
    joined = left + between + right
    return joined[:-1] if joined.endswith("/") else joined
