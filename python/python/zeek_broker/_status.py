"""What an endpoint reports."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

__all__ = [
    "EndpointDiscovered",
    "EndpointUnreachable",
    "PeerAdded",
    "PeerError",
    "PeerInfo",
    "PeerLost",
    "PeerRemoved",
    "StatusItem",
    "item",
]


@dataclass(frozen=True)
class PeerAdded:
    """There is a new peer. ``url`` is the address that was dialled, or where the peer came from."""

    id: str
    url: str | None
    message: str


@dataclass(frozen=True)
class PeerRemoved:
    """This side has ended a peering."""

    id: str
    url: str | None
    message: str


@dataclass(frozen=True)
class PeerLost:
    """The other side, or the network, has ended a peering."""

    id: str
    url: str | None
    message: str


@dataclass(frozen=True)
class EndpointDiscovered:
    """An endpoint has come into reach."""

    id: str
    message: str


@dataclass(frozen=True)
class EndpointUnreachable:
    """The last path to an endpoint is gone."""

    id: str
    message: str


@dataclass(frozen=True)
class PeerError:
    """Something did not work. ``code`` is the number that the protocol has for it, and ``reason``
    the word that logs and metrics have."""

    code: int
    id: str | None
    url: str | None
    message: str
    reason: str | None


@dataclass(frozen=True)
class PeerInfo:
    """A peer, or an address that is being tried, which has no ``id`` yet."""

    id: str | None
    url: str
    state: str
    outbound: bool
    last_error: str | None

    @classmethod
    def _of(cls, peer: tuple[Any, ...]) -> PeerInfo:
        id, _, _, url, state, outbound, last_error = peer
        return cls(id, url, state, outbound, last_error)


#: What a stream of events gives.
StatusItem = (
    PeerAdded | PeerRemoved | PeerLost | EndpointDiscovered | EndpointUnreachable | PeerError
)

_WITH_URL: dict[str, type[PeerAdded | PeerRemoved | PeerLost]] = {
    "peer_added": PeerAdded,
    "peer_removed": PeerRemoved,
    "peer_lost": PeerLost,
}
_WITHOUT_URL: dict[str, type[EndpointDiscovered | EndpointUnreachable]] = {
    "endpoint_discovered": EndpointDiscovered,
    "endpoint_unreachable": EndpointUnreachable,
}


def item(report: tuple[Any, ...]) -> StatusItem:
    """What the native part has reported."""
    kind, code, id, network, message, reason = report
    url = network[2] if network else None
    if kind in _WITH_URL:
        return _WITH_URL[kind](id or "", url, message)
    if kind in _WITHOUT_URL:
        return _WITHOUT_URL[kind](id or "", message)
    nobody = id is None or not id.strip("0-")
    return PeerError(code, None if nobody else id, url, message, reason)
