"""What an endpoint reports, as the C++ module shows it."""

from __future__ import annotations

from typing import Any

from ._enums import EC, SC, PeerFlags, PeerStatus

#: The id of no endpoint.
NIL = "00000000-0000-0000-0000-000000000000"

#: The texts of the C++ library, by the name of the status.
TEXTS = {
    "peer_added": "handshake successful",
    "peer_removed": "removed connection to remote peer",
    "peer_lost": "lost connection to remote peer",
    "endpoint_discovered": "found a new peer in the network",
    "endpoint_unreachable": "lost the last path",
}
_CODES = {
    "status": SC.Unspecified,
    "peer_added": SC.PeerAdded,
    "peer_removed": SC.PeerRemoved,
    "peer_lost": SC.PeerLost,
    "endpoint_discovered": SC.EndpointDiscovered,
    "endpoint_unreachable": SC.EndpointUnreachable,
}
_NAMES = {code.value: name for name, code in _CODES.items()}
_ERRORS = {
    1: "unspecified",
    2: "peer_incompatible",
    3: "peer_invalid",
    4: "peer_unavailable",
    5: "peer_disconnect_during_handshake",
    6: "peer_timeout",
}


class NetworkInfo:
    """Where an endpoint is."""

    __slots__ = ("address", "port")
    __module__ = "broker._broker"

    address: str
    port: int

    def __init__(self, *args: Any) -> None:
        raise TypeError("broker._broker.NetworkInfo: No constructor defined!")

    @classmethod
    def _of(cls, address: str, port: int) -> NetworkInfo:
        info = object.__new__(cls)
        info.address, info.port = address, port
        return info

    def __repr__(self) -> str:
        return f"{self.address}:{self.port}"


class OptionalNetworkInfo:
    """Where an endpoint is, if that is known."""

    __slots__ = ("_info",)
    __module__ = "broker._broker"

    def __init__(self, info: NetworkInfo | None = None) -> None:
        self._info = info

    def is_set(self) -> bool:
        return self._info is not None

    def get(self) -> NetworkInfo:
        if self._info is None:
            raise RuntimeError("bad optional access")
        return self._info

    def __repr__(self) -> str:
        return "nil" if self._info is None else repr(self._info)


class EndpointInfo:
    """An endpoint. Its ``repr`` is its id, which programs put into topics."""

    __slots__ = ("_id", "network")
    __module__ = "broker._broker"

    _id: str
    network: OptionalNetworkInfo

    def __init__(self, *args: Any) -> None:
        raise TypeError("broker._broker.EndpointInfo: No constructor defined!")

    @classmethod
    def _of(cls, id: str | None, network: tuple[str, int, str] | None) -> EndpointInfo:
        info = object.__new__(cls)
        info._id = id or NIL
        info.network = OptionalNetworkInfo(NetworkInfo._of(*network[:2]) if network else None)
        return info

    def node_id(self) -> str:
        return self._id

    def __repr__(self) -> str:
        return self._id


class PeerInfo:
    """A peer."""

    __slots__ = ("flags", "peer", "status")
    __module__ = "broker._broker"

    peer: EndpointInfo
    flags: Any
    status: Any

    def __init__(self, *args: Any) -> None:
        raise TypeError("broker._broker.PeerInfo: No constructor defined!")

    @classmethod
    def _of(cls, id: str | None, host: str, port: int, status: str) -> PeerInfo:
        info = object.__new__(cls)
        info.peer = EndpointInfo._of(id, (host, port, ""))
        info.flags = PeerFlags.Remote
        info.status = getattr(PeerStatus, status.capitalize())
        return info


class Status:
    """A change of the overlay."""

    __slots__ = ("_code", "_context", "_message")
    __module__ = "broker._broker"

    def __init__(self) -> None:
        self._code = SC.Unspecified
        self._context: EndpointInfo | None = None
        self._message = ""

    @classmethod
    def _of(cls, report: tuple[Any, ...]) -> Status:
        kind, _, id, network, message, _ = report
        status = cls()
        status._code = _CODES[kind]
        status._context = EndpointInfo._of(id, network)
        status._message = TEXTS.get(kind, message)
        return status

    def code(self) -> Any:
        return self._code

    def context(self) -> EndpointInfo | None:
        return self._context

    def message(self) -> str:
        return self._message

    def __repr__(self) -> str:
        if self._context is None:
            return 'unspecified("")'
        where = f", {self._context.network}" if self._context.network.is_set() else ""
        name = _NAMES[self._code.value]
        return f'{name}({self._context.node_id()}{where}, "{self._message}")'


class Error:
    """An error that is not the answer to a call."""

    __slots__ = ("_code", "_context", "_detail", "_message")
    __module__ = "broker._broker"

    def __init__(self) -> None:
        self._code = 0
        self._context: EndpointInfo | None = None
        self._message = self._detail = ""

    @classmethod
    def _of(cls, report: tuple[Any, ...]) -> Error:
        _, code, id, network, message, _ = report
        error = cls()
        error._code = code
        error._context = EndpointInfo._of(id, network) if id else None
        # What really happened comes behind the text of the C++ library.
        error._message, _, error._detail = message.partition(": ")
        return error

    def code(self) -> int:
        return self._code

    def context(self) -> EndpointInfo | None:
        return self._context

    def message(self) -> str:
        """The text, with what really happened, which the C++ module does not say."""
        return f"{self._message}: {self._detail}" if self._detail else self._message

    def __repr__(self) -> str:
        if self._code == 0:
            return "none"
        name = _ERRORS.get(self._code) or EC(self._code).name
        if self._context is None:
            return f'{name}("{self._message}")'
        network = self._context.network
        where = f"*{network}" if network.is_set() else "none"
        context = f"endpoint_info({self._context.node_id()}, {where})"
        return f'{name}({context}, "{self._message}")'
