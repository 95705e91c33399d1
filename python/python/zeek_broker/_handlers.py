"""Functions that are called for events."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable
from typing import Any

from ._event import Event
from ._options import log
from ._records import converter
from ._zeek_broker import Message

__all__ = ["Handlers"]


class _Handler:
    """A function, and what makes arguments of an event its arguments."""

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        hints = typing.get_type_hints(function)
        self.positional: list[Callable[[Any], Any]] = []
        self.rest: Callable[[Any], Any] | None = None
        self.extras: dict[str, str] = {}
        self.required = 0
        for name, parameter in inspect.signature(function).parameters.items():
            convert = converter(hints.get(name, parameter.annotation))
            if parameter.kind is parameter.KEYWORD_ONLY:
                self._add_extra(name, hints.get(name))
            elif parameter.kind is parameter.VAR_POSITIONAL:
                self.rest = convert
            elif parameter.kind is not parameter.VAR_KEYWORD:
                self.positional.append(convert)
                self.required += parameter.default is parameter.empty

    def _add_extra(self, name: str, hint: Any) -> None:
        kinds = {Event: "event", Message: "message"}
        if hint not in kinds:
            raise TypeError(f"keyword-only parameter {name!r} is for an Event or a Message")
        self.extras[name] = kinds[hint]

    def call(self, message: Message, event: Event) -> Any:
        """Calls it. TypeError if the arguments are not those that it takes."""
        args = event.args
        more = len(args) - len(self.positional)
        converters = self.positional
        if self.rest is not None and more > 0:
            converters = [*converters, *[self.rest] * more]
        if not self.required <= len(args) <= len(converters):
            raise TypeError(f"{len(args)} arguments, where {len(self.positional)} are expected")
        converted = [to(arg) for to, arg in zip(converters, args, strict=False)]
        sources = {"event": event, "message": message}
        extras = {name: sources[kind] for name, kind in self.extras.items()}
        return lambda: self.function(*converted, **extras)


class Handlers:
    """The functions of an endpoint, by the names of their events."""

    def __init__(self) -> None:
        self._handlers: dict[str, list[_Handler]] = {}
        self._topics: dict[bytes, None] = {}

    def add(self, name: str, topics: list[bytes], function: Callable[..., Any]) -> None:
        self._handlers.setdefault(name, []).append(_Handler(function))
        self._topics.update(dict.fromkeys(topics))

    def topics(self) -> list[bytes]:
        return list(self._topics)

    def calls(self, message: Message) -> list[Callable[[], Any]]:
        """What to call for a message. Events whose arguments are not those that a function takes
        are left out, with a warning in the log."""
        event = message.event
        found: list[Callable[[], Any]] = []
        for handler in self._handlers.get(event.name, ()) if event is not None else ():
            try:
                found.append(handler.call(message, typing.cast(Event, event)))
            except TypeError as error:
                name = getattr(handler.function, "__qualname__", handler.function)
                log.warning("%s: not handled by %s: %s", event and event.name, name, error)
        return found
