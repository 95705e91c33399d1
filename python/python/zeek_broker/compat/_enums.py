"""The enumerations of the C++ module: values with a name that are no numbers but have one."""

from __future__ import annotations

from typing import Any, ClassVar


class NativeEnum:
    """A value of an enumeration. Subclasses are filled by :func:`enumeration`."""

    __slots__ = ("_value",)
    __members__: ClassVar[dict[str, Any]]
    _names: ClassVar[dict[int, str]]
    _value: int

    def __init__(self, value: int) -> None:
        if not isinstance(value, int):
            raise TypeError(
                f"{type(self).__name__}(): incompatible constructor arguments. The following "
                f"argument types are supported:\n    1. {type(self).__name__}(value: int)"
            )
        object.__setattr__(self, "_value", int(value))

    @property
    def name(self) -> str:
        return self._names.get(self._value, "???")

    @property
    def value(self) -> int:
        return self._value

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r} that can be set")

    def __int__(self) -> int:
        return self._value

    __index__ = __int__

    def __hash__(self) -> int:
        return self._value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and other._value == self._value

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __str__(self) -> str:
        return f"{type(self).__name__}.{self.name}"

    def __repr__(self) -> str:
        return f"<{self}: {self._value}>"


def enumeration(name: str, values: dict[str, int], base: type = NativeEnum) -> Any:
    cls: Any = type(name, (base,), {"__slots__": (), "__module__": "broker._broker"})
    cls.__members__ = {}
    cls._names = {number: key for key, number in reversed(values.items())}
    for key, number in values.items():
        member = cls(number)
        cls.__members__[key] = member
        setattr(cls, key, member)
    return cls


class _ErrorCode(NativeEnum):
    """Codes of errors are numbers to the C++ module, so they compare with numbers."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        if isinstance(other, int):
            return other == self._value
        return NativeEnum.__eq__(self, other)

    def __hash__(self) -> int:
        return self._value


EC = enumeration(
    "EC",
    {
        "Unspecified": 1,
        "PeerIncompatible": 2,
        "PeerInvalid": 3,
        "PeerUnavailable": 4,
        "PeerTimeout": 6,
        "MasterExists": 7,
        "NoSuchMaster": 8,
        "NoSuchKey": 9,
        "RequestTimeOut": 10,
        "TypeClash": 11,
        "InvalidData": 12,
        "BackendFailure": 13,
        "StaleData": 14,
    },
    _ErrorCode,
)
SC = enumeration(
    "SC",
    {
        "Unspecified": 0,
        "PeerAdded": 1,
        "PeerRemoved": 2,
        "PeerLost": 3,
        "EndpointDiscovered": 4,
        "EndpointUnreachable": 5,
    },
)
PeerStatus = enumeration(
    "PeerStatus",
    {
        "Initialized": 0,
        "Connecting": 1,
        "Connected": 2,
        "Peered": 3,
        "Disconnected": 4,
        "Reconnecting": 5,
    },
)
PeerFlags = enumeration(
    "PeerFlags", {"Invalid": 0, "Local": 1, "Remote": 2, "Outbound": 4, "Inbound": 8}
)
APIFlags = enumeration("APIFlags", {"Blocking": 1, "NonBlocking": 2})
Frontend = enumeration("Frontend", {"Clone": 0, "Master": 1})
Backend = enumeration("Backend", {"Memory": 0, "SQLite": 1})
Protocol = enumeration("Protocol", {"Unknown": 0, "TCP": 1, "UDP": 2, "ICMP": 3})
# What the native Port takes; plain numbers have no such thing.
Protocol._broker_protocol = Protocol.value
Family = enumeration("Family", {"IPv4": 0, "IPv6": 1})
ByteOrder = enumeration("ByteOrder", {"Host": 0, "Network": 1})
#: In the order in which values of different types sort.
Type = enumeration(
    "Type",
    {
        "Nil": 0,
        "Boolean": 1,
        "Count": 2,
        "Integer": 3,
        "Real": 4,
        "String": 5,
        "Address": 6,
        "Subnet": 7,
        "Port": 8,
        "Timestamp": 9,
        "Timespan": 10,
        "EnumValue": 11,
        "Set": 12,
        "Table": 13,
        "Vector": 14,
    },
)
setattr(Type, "None", Type.Nil)
