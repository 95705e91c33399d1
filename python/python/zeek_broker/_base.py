"""What endpoints for event loops and for threads have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from . import _zeek_broker as native
from ._handlers import Handlers
from ._options import Overflow, Policy, Tls, log_reports, settings, topic_bytes
from ._status import PeerInfo

F = TypeVar("F", bound=Callable[..., Any])

#: Log entries that are handed over at once.
_LOGS = 1000


class BaseEndpoint:
    """An endpoint. ``config`` has any of the settings in a configuration file of ``broker-cli``, by
    their names there, such as ``{"limits": {"peers": 10}}``."""

    def __init__(
        self,
        *,
        tls: Tls | None = None,
        forwarding: bool = True,
        overflow: Overflow = "wait",
        config: Mapping[str, Any] | None = None,
    ) -> None:
        self._native = native.Endpoint(settings(tls, forwarding, overflow, config))
        self._id = self._native.id
        self._logs = self._native.events(False, False, True)
        self._handlers = Handlers()
        #: Where it listens, if ``serve()`` made it.
        self.url: str | None = None

    @property
    def id(self) -> str:
        """The id, which others see."""
        return self._id

    def peers(self) -> list[PeerInfo]:
        """All peers, and all addresses that are still tried."""
        return [PeerInfo._of(peer) for peer in self._native.peers()]

    def unpeer(self, url: str) -> bool:
        """Ends the peering with an address, or stops trying it. Returns whether there was one."""
        return self._native.unpeer(url)

    def forward(self, *topics: str | bytes) -> None:
        """Asks peers for messages on these topics to pass them on to other peers, without receiving
        them here."""
        self._native.forward(topic_bytes(topics))

    def on(self, name: str, *, topic: str | bytes | tuple[str | bytes, ...]) -> Callable[[F], F]:
        """Makes a function the handler of events of this name, which arrive on this topic or on one
        that begins with it. They are handled while ``run()`` runs.

        The arguments of the event become what the parameters are annotated as; keyword-only
        parameters that are annotated as ``Event`` or ``Message`` get these."""
        topics = topic if isinstance(topic, tuple) else (topic,)

        def register(function: F) -> F:
            self._handlers.add(name, topic_bytes(topics), function)
            return function

        return register

    def _subscribe(
        self, topics: tuple[str | bytes, ...], buffer: int | None, policy: Policy
    ) -> native.Subscriber:
        return self._native.subscribe(topic_bytes(topics), buffer, None, policy)

    def _write_log(self) -> None:
        log_reports(self._logs.receive(0, _LOGS, 0))

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self._id}>"


class BasePeering:
    """A peering that was asked for."""

    def __init__(self, endpoint: native.Endpoint, url: str, request: native.Operation) -> None:
        self._endpoint, self._request = endpoint, request
        self._url = native.shown_url(url)

    @property
    def url(self) -> str:
        """The address."""
        return self._url

    @property
    def peer_id(self) -> str | None:
        """The id of the peer, once there has been one."""
        return self._request.wait(0) if self._request.done else None

    @property
    def state(self) -> str:
        """``peered``, ``connecting``, ``reconnecting`` or ``disconnected``."""
        states = [peer[4] for peer in self._endpoint.peers() if peer[3] == self._url]
        return states[-1] if states else "disconnected"

    def __repr__(self) -> str:
        return f"<{type(self).__qualname__} {self._url}: {self.state}>"
