"""The examples run as their first lines say, against an endpoint in the default settings."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from ipaddress import IPv4Address, IPv4Network
from typing import Any

import pytest
from conftest import LONG, ROOT
from zeek_broker import Count, Enum, Event, Port, Timespan, Timestamp, sync

ID = (IPv4Address("10.0.0.1"), Port(1000), IPv4Address("10.0.0.2"), Port(80))


@pytest.fixture
def zeek() -> Iterator[sync.Endpoint]:
    """What stands for a Zeek: an endpoint with encryption and without certificates."""
    with sync.serve("tls://127.0.0.1:0") as endpoint:
        yield endpoint


@pytest.fixture
def example(zeek: sync.Endpoint) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    children: list[subprocess.Popen[str]] = []

    def start(name: str, *arguments: str, compat: bool = True) -> subprocess.Popen[str]:
        module = ["-m", "zeek_broker.compat"] if compat else []
        assert zeek.url is not None
        where = zeek.url.rpartition(":")[2] if compat else zeek.url
        path = str(ROOT / "examples" / name)
        command = [sys.executable, "-u", "-W", "error", *module, path, where, *arguments]
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        children.append(child)
        return child

    yield start
    for child in children:
        child.kill()
        child.communicate()


def finish(child: subprocess.Popen[str], code: int = 0) -> list[str]:
    output, errors = child.communicate(timeout=LONG)
    assert child.returncode == code, errors
    return output.splitlines()


def wait_for_topic(zeek: sync.Endpoint, topic: bytes) -> None:
    """Until the example has said that it wants a topic."""
    events = zeek.events()
    while topic not in zeek._native.peer_subscriptions():
        events.next(0.05)


def test_first_session(zeek: sync.Endpoint, example: Any) -> None:
    child = example("first_session.py", compat=False)
    wait_for_topic(zeek, b"")
    zeek.publish("/zeek/event", Event("hello", "world", Count(5)))
    assert child.stdout.readline() == "/zeek/event Event('hello', 'world', Count(5))\n"


def test_handlers(zeek: sync.Endpoint, example: Any) -> None:
    with zeek.subscribe("/verdicts") as verdicts:
        child = example("handlers.py", compat=False)
        wait_for_topic(zeek, b"/demo")
        zeek.publish("/demo", Event("Demo::conn", ID, Timestamp(5000), Timespan(61 * 10**9)))
        zeek.publish("/demo", Event("Demo::conn", ID, Timestamp(0), None))
        zeek.publish("/demo", Event("Demo::stop"))
        found = [verdicts.next(LONG).event for _ in range(2)]
        assert [event.args for event in found] == [
            (ID, "long", Timestamp(5000)),
            (ID, "short", Timestamp(0)),
        ]
        finish(child)


def test_select_loop(zeek: sync.Endpoint, example: Any) -> None:
    with zeek.subscribe("/controller/answers") as answers:
        child = example("select_loop.py", "2")
        assert child.stdout.readline() == "connected\n"
        rule = (Count(7), Enum("NetControl::DROP"), (Port(22), 5))
        zeek.publish("/controller", Event("Controller::add", *rule))
        zeek.publish("/controller", Event("Controller::remove", Count(8)))
        assert answers.next(LONG).event.args == (Count(7), "ok")
        assert answers.next(LONG).event.args == (Count(8), "ok")
        assert finish(child) == [
            "/controller Controller::add [7, 'NetControl::DROP', "
            "[{'port': 22, 'protocol': 'tcp'}, 5]]",
            "/controller Controller::remove [8]",
        ]


def test_old_style(zeek: sync.Endpoint, example: Any) -> None:
    with zeek.subscribe("/topic/test") as questions:
        child = example("old_style.py")
        for _ in range(5):
            text, number = questions.next(LONG).event.args
            zeek.publish("/topic/test", Event("pong", text + "!", Count(number + 1)))
        assert finish(child) == [
            "peered with 127.0.0.1",
            *(f"received pong['question!', Count({number})]" for number in range(1, 6)),
        ]


def test_detector(zeek: sync.Endpoint, example: Any) -> None:
    with zeek.subscribe("/detector/answers") as answers:
        child = example("detector.py", "2")
        assert child.stdout.readline() == "ready\n"
        wait_for_topic(zeek, b"/detector/questions")
        for name in ("xkqjzwvbnt.example", "wikipedia.example"):
            zeek.publish("/detector/questions", Event("Detector::ask", "C1", name))
        found = [answers.next(LONG).event.args[2] for _ in range(2)]
        assert found == [True, False]
        finish(child)


def test_intel(zeek: sync.Endpoint, example: Any) -> None:
    with zeek.subscribe("/intel-manager") as requests:
        child = example("intel.py", "insert", "1.2.3.4", "evil.example")
        for _ in range(2):
            event = requests.next(LONG).event
            assert event.name == "Intel::insert"
            zeek.publish("/intel-manager", Event("Intel::inserted", event.args[0]))
        assert finish(child) == [
            "EndpointDiscovered",
            "PeerAdded",
            "Intel::inserted 1.2.3.4",
            "Intel::inserted evil.example",
        ]


def test_configurator(zeek: sync.Endpoint, example: Any) -> None:
    with zeek.subscribe("/configurator/hello") as hello:
        child = example("configurator.py")
        assert hello.next(LONG).event.args == (
            Timespan(1_500_000_000),
            Timestamp(2_500_000_000),
            Count(3),
        )
        everything = (
            None,
            True,
            Count(1),
            -1,
            1.5,
            "text",
            ID[0],
            IPv4Network("10.0.0.0/8"),
            Port(53, "udp"),
            Timestamp(10**9),
            timedelta(seconds=2),
            Enum("A::B"),
            {"x"},
            {"k": 1},
            (1,),
        )
        zeek.publish("/configurator/x", Event("all", *everything))
        zeek.publish("/other", Event("Configurator::stop"))
        (line,) = finish(child)
        name, *values = json.loads(line)
        assert name == "all" and [value["type"] for value in values] == [
            "NoneType",
            "bool",
            "count",
            "int",
            "float",
            "str",
            "addr",
            "subnet",
            "port",
            "time",
            "interval",
            "enum",
            "set",
            "table",
            "vector",
        ]
