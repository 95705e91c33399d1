"""How endpoints are set up."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

from ._zeek_broker import Timespan

__all__ = ["Overflow", "Policy", "Retry", "Seconds", "Tls", "seconds", "settings", "topic_bytes"]

#: A time limit.
Seconds = float | timedelta | Timespan

#: What happens to messages for a subscriber whose queue is full.
Policy = Literal["drop_oldest", "drop_newest", "wait"]

#: What happens to messages for a peer whose queue is full.
Overflow = Literal["wait", "drop_oldest", "drop_newest", "disconnect"]

log = logging.getLogger("zeek_broker")

_LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "verbose": logging.DEBUG + 5,
    "debug": logging.DEBUG,
}


@dataclass(frozen=True)
class Tls:
    """What an endpoint proves about itself and demands of its peers, for ``tls://``, ``wss://`` and
    ``quic://``.

    Without any of these links are encrypted and nobody proves anything, which is what Zeek does by
    default; ``anonymous=True`` says so in so many words. With ``ca``, ``cert`` and ``key``, which
    are names of PEM files, both sides have to have certificates of that CA. With ``self_signed``
    instead the endpoint has a key of its own in that file, and knows its peers by their
    ``pins``."""

    ca: str | os.PathLike[str] | None = None
    cert: str | os.PathLike[str] | None = None
    key: str | os.PathLike[str] | None = None
    passphrase: str | None = None
    anonymous: bool = False
    pins: tuple[str, ...] = ()
    self_signed: str | os.PathLike[str] | None = None
    check_host: bool = False
    names: tuple[str, ...] = ()
    strict: bool = False

    def __post_init__(self) -> None:
        if self.anonymous and any((self.ca, self.cert, self.key, self.self_signed, self.pins)):
            raise ValueError("anonymous encryption has neither certificates nor pins")

    def __repr__(self) -> str:
        names = [name for name in self.__dataclass_fields__ if name != "passphrase"]
        parts = [f"{name}={getattr(self, name)!r}" for name in names if getattr(self, name)]
        return f"Tls({', '.join(parts)})"

    def _settings(self) -> dict[str, Any]:
        found = {
            "ca-file": self.ca and os.fspath(self.ca),
            "certificate": self.cert and os.fspath(self.cert),
            "key": self.key and os.fspath(self.key),
            "passphrase": self.passphrase,
            "self-signed": self.self_signed and os.fspath(self.self_signed),
            "check-host": self.check_host,
            "names": list(self.names),
            "pins": list(self.pins),
            "strict": self.strict,
        }
        return {name: value for name, value in found.items() if value}


@dataclass(frozen=True)
class Retry:
    """How often a peering is tried.

    >>> Retry.never()
    Retry(seconds=None)
    >>> Retry.every(2)
    Retry(seconds=2.0)
    """

    seconds: float | None = None

    @classmethod
    def never(cls) -> Retry:
        """Once, and never again after a loss."""
        return cls(None)

    @classmethod
    def every(cls, time: Seconds) -> Retry:
        """Until it works, with this time between attempts, and again after every loss."""
        interval = seconds(time)
        if not interval or interval < 0:
            raise ValueError("the time between attempts is more than zero")
        return cls(interval)


def seconds(time: Seconds | None) -> float | None:
    """A time limit as the native part takes it."""
    if time is None:
        return None
    if isinstance(time, timedelta):
        return time.total_seconds()
    return time.to_seconds() if isinstance(time, Timespan) else float(time)


def topic_bytes(topics: Iterable[str | bytes]) -> list[bytes]:
    """Topics as the native part takes them."""
    found = []
    for topic in topics:
        if not isinstance(topic, (str, bytes)):
            raise TypeError(f"a topic is a str or bytes, not {type(topic).__name__}")
        found.append(topic.encode() if isinstance(topic, str) else topic)
    return found


def settings(
    tls: Tls | None, forwarding: bool, overflow: Overflow, config: Mapping[str, Any] | None
) -> str:
    """What the native endpoint is made from."""
    endpoint: dict[str, Any] = {
        "forwarding": forwarding,
        "overflow-policy": overflow,
        "log-level": _log_level(),
        **(config or {}),
    }
    names = [name for name in ("tls", "ws", "quic") if name in endpoint]
    transports = {name: endpoint.pop(name) for name in names}
    if tls is not None:
        transports["tls"] = tls._settings()
    return json.dumps({"endpoint": endpoint, "transports": transports})


def _log_level() -> str:
    wanted = log.getEffectiveLevel()
    return next((name for name, level in reversed(_LEVELS.items()) if level >= wanted), "critical")


def log_reports(reports: list[tuple[Any, ...]]) -> None:
    """Hands entries of the log of an endpoint to the logging module."""
    for level, _, _, _, message, reason in reports:
        number = _LEVELS.get(level, logging.INFO)
        log.log(number, "%s", message, extra={"reason": reason})
