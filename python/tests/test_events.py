"""Zeek events, and what handlers make of their arguments."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from ipaddress import IPv4Address

import pytest
from zeek_broker import Count, Event, Message, Port, Timespan, Timestamp
from zeek_broker._handlers import Handlers
from zeek_broker._records import construct, converter


@dataclass
class ConnId:
    orig_h: IPv4Address
    orig_p: Port
    resp_h: IPv4Address
    resp_p: Port


@dataclass
class Conn:
    id: ConnId
    start: datetime
    duration: float | None = None
    services: set[str] = field(default_factory=set)


ID = (IPv4Address("1.1.1.1"), Port(1), IPv4Address("2.2.2.2"), Port(2))


def test_an_event_cannot_be_changed_and_compares_by_its_parts() -> None:
    event = Event("a", 1, "x", metadata={1: Timestamp(5)})
    assert event == Event("a", 1, "x", metadata=[(1, Timestamp(5))])
    assert event != Event("a", 1, "x") and hash(event) == hash(Event("a", 1, "x"))
    assert event.network_time == Timestamp(5) and Event("a").network_time is None
    with pytest.raises(AttributeError):
        event.name = "b"
    with pytest.raises(TypeError):
        event.metadata[1] = 2  # type: ignore[index]
    match event:
        case Event(name, (number, text)):
            assert (name, number, text) == ("a", 1, "x")
    with pytest.raises(TypeError):
        Event(5)  # type: ignore[arg-type]


def test_arguments_become_what_is_annotated() -> None:
    start = Timestamp(1_000_000_000)
    event = Event("new_connection", (ID, start, Timespan(1_500_000_000), {"http"}))
    conn = construct(Conn, event.args[0])
    assert conn == Conn(ConnId(*ID), start.to_datetime(), 1.5, {"http"})
    assert construct(Conn, (ID, start)).duration is None
    assert construct(Conn, (ID, start, None)).duration is None


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (int, Count(5), 5),
        (list[int], (1, 2), [1, 2]),
        (tuple[int, ...], (1, 2), (1, 2)),
        (dict[str, ConnId], {"a": ID}, {"a": ConnId(*ID)}),
        (frozenset[str], {"a"}, frozenset("a")),
        (timedelta, Timespan(1000), timedelta(microseconds=1)),
        (str | None, None, None),
        (object, "x", "x"),
    ],
)
def test_containers_and_options_are_converted(
    hint: object, value: object, expected: object
) -> None:
    assert converter(hint)(value) == expected


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (int, "x"),
        (int, True),
        (str, 5),
        (list[int], ("x",)),
        (tuple[int, int], (1,)),
        (ConnId, 5),
        (int | None, "x"),
        (float, "1"),
        (bool, 1),
    ],
)
def test_what_does_not_fit_is_refused(hint: object, value: object) -> None:
    with pytest.raises(TypeError):
        converter(hint)(value)


def test_parameters_of_handlers_are_checked_when_they_are_registered() -> None:
    def handler(number: int, *, odd: str) -> None: ...

    with pytest.raises(TypeError, match="keyword-only parameter 'odd'"):
        Handlers().add("x", [b"/"], handler)

    def good(number: int, *, event: Event, message: Message) -> None: ...

    Handlers().add("x", [b"/"], good)
