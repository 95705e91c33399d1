"""What can go wrong."""

from __future__ import annotations

import builtins
from typing import ClassVar

__all__ = [
    "BrokerError",
    "Closed",
    "InvalidData",
    "PeerIncompatible",
    "PeerUnavailable",
    "Timeout",
    "TlsError",
    "TransportError",
]


class BrokerError(Exception):
    """Everything that this package raises of its own. ``code`` is the number that the protocol has
    for it, ``reason`` the word that logs and metrics have, and ``advice`` says what to do."""

    code: ClassVar[int] = 1
    reason: str | None = None
    advice: str | None = None


class PeerUnavailable(BrokerError):
    """There is no peering, and another time there may be one."""

    code = 4


class PeerIncompatible(BrokerError):
    """There is no peering, and there will be none unless something is changed."""

    code = 2


class TlsError(PeerIncompatible):
    """The two sides did not agree on encryption, or certificates and keys cannot be used."""


class TransportError(BrokerError, OSError):
    """The operating system did not do what was asked for, such as to listen at an address."""


class Timeout(BrokerError, builtins.TimeoutError):
    """It took longer than allowed."""

    code = 6


class Closed(BrokerError):
    """The endpoint has been shut down, or the object was closed."""

    code = 28


class InvalidData(BrokerError, ValueError):
    """What was to be published cannot be: the topic is reserved, or the value is too large."""

    code = 12


_TLS = {"peer-wants-tls", "peer-is-plain", "peer-certificate", "own-certificate", "tls"}
_INCOMPATIBLE = {
    "not-broker",
    "no-common-version",
    "wrong-magic",
    "malformed-handshake",
    "unexpected-message",
    "same-id",
    "connected-to-itself",
    "nil-id",
    "access-denied",
    "unsupported-scheme",
    "invalid-address",
}
_KINDS: dict[str, type[Exception]] = {
    "transport": TransportError,
    "closed": Closed,
    "data": InvalidData,
    "timeout": Timeout,
    "tls": TlsError,
    "config": ValueError,
}


def make(kind: str, reason: str | None, text: str, advice: str | None) -> Exception:
    """The exception for a failure of the native part."""
    if reason in _TLS:
        cls: type[Exception] = TlsError
    elif kind == "peer":
        cls = PeerIncompatible if reason in _INCOMPATIBLE else PeerUnavailable
    else:
        cls = _KINDS.get(kind, BrokerError)
    error = cls(text)
    if isinstance(error, BrokerError):
        error.reason, error.advice = reason, advice
    return error
