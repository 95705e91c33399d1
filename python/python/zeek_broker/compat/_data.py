"""Values of the C++ module: ``Data``, and the containers that it gives out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, MutableSequence
from typing import Any, NoReturn

from .. import _zeek_broker as native
from ._enums import Type
from ._values import Address, Enum, Port, Subnet, _Native

_REGULAR, _IMMUTABLE = 1, 2


class RawData(native.RawData):
    """``_broker.Data``: a value as it goes over the wire."""

    __slots__ = ()
    __module__ = "broker._broker"
    Type = Type

    def get_type(self) -> Any:
        return Type(self.kind())

    def _as(self, kind: Any) -> Any:
        if self.kind() != kind.value:
            raise RuntimeError("bad variant access")
        return self.to_python(_REGULAR)

    def as_boolean(self) -> bool:
        return bool(self._as(Type.Boolean))

    def as_count(self) -> int:
        return int(self._as(Type.Count).value)

    def as_integer(self) -> int:
        return int(self._as(Type.Integer))

    def as_real(self) -> float:
        return float(self._as(Type.Real))

    def as_string(self) -> bytes:
        self._check(Type.String)
        return self.string()

    def as_enum_value(self) -> Enum:
        self._check(Type.EnumValue)
        return Enum(self.string())

    def as_port(self) -> Port:
        port: Port = self._as(Type.Port)
        return port

    def as_address(self) -> Address:
        self._check(Type.Address)
        return Address(self.network()[0], 6)

    def as_subnet(self) -> Subnet:
        self._check(Type.Subnet)
        return Subnet._of(*self.network())

    def as_timespan(self) -> float:
        self._check(Type.Timespan)
        return self.nanoseconds() / 1e9

    def as_timestamp(self) -> float:
        self._check(Type.Timestamp)
        return self.nanoseconds() / 1e9

    def as_none(self) -> NoReturn:
        raise TypeError("Unable to convert function return value to a Python type!")

    def as_vector(self) -> Vector:
        self._check(Type.Vector)
        return Vector(map(RawData, self.elements()))

    def as_set(self) -> Set:
        self._check(Type.Set)
        return Set(map(RawData, self.elements()))

    def as_table(self) -> Table:
        self._check(Type.Table)
        flat = [RawData(element) for element in self.elements()]
        table = Table()
        table._items = dict(zip(flat[::2], flat[1::2], strict=True))
        return table

    def _check(self, kind: Any) -> None:
        if self.kind() != kind.value:
            raise RuntimeError("bad variant access")

    def __str__(self) -> str:
        return self.text().decode()


class Data(RawData):
    """A value, from whatever Python has for it."""

    __module__ = "broker"

    @staticmethod
    def from_py(x: Any) -> Data:
        return Data(x)

    @staticmethod
    def to_py(d: Any) -> Any:
        return _to_py(d, _REGULAR)


class ImmutableData(Data):
    """As ``Data``, but what it converts to cannot be changed and so can be hashed."""

    __module__ = "broker"

    @staticmethod
    def from_py(x: Any) -> Data:
        return Data(x)

    @staticmethod
    def to_py(d: Any) -> Any:
        return _to_py(d, _IMMUTABLE)


def _to_py(d: Any, flavor: int) -> Any:
    if isinstance(d, native.RawData):
        return d.to_python(flavor)
    encoded = getattr(d, "__broker_data__", None)
    if encoded is None:
        raise AttributeError(f"{type(d).__name__!r} object has no attribute 'get_type'")
    return encoded.to_python(flavor)


class HashableReadOnlyDict(dict):  # type: ignore[type-arg]
    """A table that cannot be changed and so can be hashed."""

    __module__ = "broker"

    def __hash__(self) -> int:  # type: ignore[override]
        return hash(frozenset(self.items()))

    def _refuse(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise TypeError("cannot modify this dict")

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse


ImmutableData.HashableReadOnlyDict = HashableReadOnlyDict  # type: ignore[attr-defined]


def _element(value: Any) -> RawData:
    if isinstance(value, native.RawData):
        return value if isinstance(value, RawData) else RawData(value)
    raise RuntimeError(
        f"Unable to cast Python instance of type {type(value)!r} to C++ type 'broker::data'"
    )


class Vector(MutableSequence, _Native):  # type: ignore[type-arg]
    """A vector of values."""

    __slots__ = ("_items",)
    __module__ = "broker._broker"

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._items = [_element(value) for value in values]

    @property
    def __broker_data__(self) -> native.RawData:
        return native.RawData(tuple(self._items))

    def __getitem__(self, index: Any) -> Any:
        found = self._items[index]
        return Vector(found) if isinstance(index, slice) else found

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(index, slice):
            self._items[index] = [_element(each) for each in value]
        else:
            self._items[index] = _element(value)

    def __delitem__(self, index: Any) -> None:
        del self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def insert(self, index: int, value: Any) -> None:
        self._items.insert(index, _element(value))

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Vector) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Vector[{', '.join(map(str, self._items))}]"


class Set(_Native):
    """Values without duplicates, in their order."""

    __slots__ = ("_items",)
    __module__ = "broker._broker"

    def __init__(self, values: Iterable[Any] = ()) -> None:
        self._items = sorted({_element(value) for value in values})

    @property
    def __broker_data__(self) -> native.RawData:
        return native.RawData(frozenset(self._items))

    def add(self, value: Any) -> None:
        self._items = sorted({*self._items, _element(value)})

    def remove(self, value: Any) -> None:
        self._items = [each for each in self._items if each != value]

    def clear(self) -> None:
        self._items = []

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[RawData]:
        return iter(list(self._items))

    def __eq__(self, other: object) -> bool:
        return self._items == other._items if isinstance(other, Set) else NotImplemented

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Set{{{', '.join(map(str, self._items))}}}"


class Table(_Native):
    """Values under keys, in the order of the keys."""

    __slots__ = ("_items",)
    __module__ = "broker._broker"

    def __init__(self) -> None:
        self._items: dict[RawData, RawData] = {}

    @property
    def __broker_data__(self) -> native.RawData:
        return native.RawData(self._items)

    def _sorted(self) -> dict[RawData, RawData]:
        return {key: self._items[key] for key in sorted(self._items)}

    def __getitem__(self, key: Any) -> RawData:
        return self._items[_element(key)]

    def __setitem__(self, key: Any, value: Any) -> None:
        self._items[_element(key)] = _element(value)

    def __delitem__(self, key: Any) -> None:
        del self._items[_element(key)]

    def __contains__(self, key: Any) -> bool:
        return isinstance(key, native.RawData) and key in self._items

    def __iter__(self) -> Iterator[RawData]:
        return iter(self._sorted())

    def __len__(self) -> int:
        return len(self._items)

    def keys(self) -> Any:
        return self._sorted().keys()

    def values(self) -> Any:
        return self._sorted().values()

    def items(self) -> Any:
        return self._sorted().items()

    def __repr__(self) -> str:
        return f"Table{{{', '.join(f'{k}: {v}' for k, v in self.items())}}}"
