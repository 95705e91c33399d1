"""How fast: ``bench.py [--events N] [NAME ...]``, where a name is one of those that it lists.

Measured are, with events of Zeek that have a record with addresses and ports:

* receive, all:   events a second, every argument as a Python object
* receive, field: events a second, of which one field is looked at
* publish:        events a second that a program can hand over to a peer that takes them
* round trip:     microseconds for an event and its answer, median and 99th percentile

The C++ module (``--cpp DIR`` for what has to be on PYTHONPATH), zeekpy and eclipse-zenoh are
measured beside this package where they are installed. Sender and receiver are processes of their
own, on the loopback interface and without encryption."""

from __future__ import annotations

import argparse
import importlib.util
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from ipaddress import ip_address
from typing import Any

from zeek_broker import Count, Event, Port, Timestamp, sync

TOPIC = "/bench"
ROUNDS = 2000
RECORD = (ip_address("10.1.2.3"), Port(49152), ip_address("192.0.2.1"), Port(443))


def event(number: int) -> Event:
    return Event("Bench::conn", Count(number), "CHhAvVGS1DHFjwGM9", Timestamp(10**18), RECORD)


# The other side: an endpoint of this package in a process of its own.


def serve(pipe: Any, scheme: str, job: str, count: int) -> None:
    """Publishes, receives or answers so many events, as a peer of what is measured."""
    with sync.Endpoint() as endpoint:
        path = "/v1/messages/json" if scheme == "ws-json" else ""
        subscriber = endpoint.subscribe(TOPIC + "/there", policy="wait")
        bound = endpoint.listen(f"{scheme.partition('-')[0]}://127.0.0.1:0{path}")
        pipe.send(bound)
        pipe.recv()
        if job == "send":
            for number in range(count):
                endpoint.publish(TOPIC + "/here", event(number))
            endpoint.flush(60)
        elif job == "take":
            left = count
            while left:
                left -= len(subscriber.next_batch(min(left, 1024)))
            pipe.send("taken")
        else:
            for message in subscriber:
                endpoint.publish(TOPIC + "/here", message.event)
        pipe.recv()


@contextmanager
def other_side(scheme: str, job: str, count: int) -> Iterator[tuple[str, Any]]:
    here, there = multiprocessing.Pipe()
    process = multiprocessing.Process(target=serve, args=(there, scheme, job, count), daemon=True)
    process.start()
    try:
        yield here.recv(), here
    finally:
        process.kill()
        process.join()


def rate(count: int, work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return count / (time.perf_counter() - began)


class Subject:
    """What is measured: how to connect, receive and publish."""

    scheme = "tcp"

    def connect(self, url: str) -> None:
        raise NotImplementedError

    def receive(self, count: int, whole: bool) -> None:
        raise NotImplementedError

    def publish(self, number: int) -> None:
        raise NotImplementedError

    def answer(self) -> None:
        self.receive(1, False)

    def close(self) -> None:
        pass


class Sync(Subject):
    """zeek_broker.sync"""

    def connect(self, url: str) -> None:
        self.endpoint = sync.Endpoint()
        self.subscriber = self.endpoint.subscribe(TOPIC + "/here", policy="wait")
        self.endpoint.peer(url)

    def receive(self, count: int, whole: bool) -> None:
        while count:
            batch = self.subscriber.next_batch(min(count, 1024))
            for message in batch:
                _ = message.event if whole else message.field(2, 1, 0)
            count -= len(batch)

    def publish(self, number: int) -> None:
        self.endpoint.publish(TOPIC + "/there", event(number))

    def close(self) -> None:
        self.endpoint.close()


class Compat(Subject):
    """zeek_broker.compat"""

    def module(self) -> Any:
        import zeek_broker.compat

        return zeek_broker.compat

    def connect(self, url: str) -> None:
        self.broker = broker = self.module()
        import importlib

        self.zeek = importlib.import_module(broker.__name__ + ".zeek")
        options = broker.BrokerOptions()
        options.disable_ssl = True
        self.endpoint = broker.Endpoint(broker.Configuration(options))
        self.subscriber = self.endpoint.make_subscriber(TOPIC + "/here")
        self.endpoint.peer("127.0.0.1", int(url.rpartition(":")[2]), 0)
        tcp = broker.Port.TCP
        addresses = RECORD[0], broker.Port(49152, tcp), RECORD[2], broker.Port(443, tcp)
        self.record = addresses

    def receive(self, count: int, whole: bool) -> None:
        while count:
            messages = (
                self.subscriber.get(1) + self.subscriber.poll()
                if count > 1
                else (self.subscriber.get(1))
            )
            for _, value in messages:
                _ = self.zeek.Event(value).args() if whole else value[2][1][0].value
            count -= len(messages)

    def publish(self, number: int) -> None:
        broker = self.broker
        arguments = broker.Count(number), "CHhAvVGS1DHFjwGM9", broker.Timestamp(1.0), self.record
        self.endpoint.publish(TOPIC + "/there", self.zeek.Event("Bench::conn", *arguments))

    def close(self) -> None:
        self.endpoint.shutdown()


class Cpp(Compat):
    """the C++ module"""

    def module(self) -> Any:
        import broker

        return broker


class Zeekpy(Subject):
    """zeekpy, over a WebSocket"""

    scheme = "ws-json"

    def connect(self, url: str) -> None:
        import zeekpy

        self.zeek = zeekpy.Zeek(url.split("?")[0], topics=[TOPIC + "/here"])
        self.left = 0

        @self.zeek.on("Bench::conn")
        def conn(number, uid, start, record):  # type: ignore[no-untyped-def]
            self.left -= 1

    def receive(self, count: int, whole: bool) -> None:
        self.left = count
        while self.left > 0:
            self.zeek.consume()

    def publish(self, number: int) -> None:
        record = [str(RECORD[0]), "49152/tcp", str(RECORD[2]), "443/tcp"]
        self.zeek.publish(TOPIC + "/there", "Bench::conn", [number, "CHhAvVGS1DHFjwGM9", 1, record])


SUBJECTS: dict[str, type[Subject]] = {"sync": Sync, "compat": Compat, "cpp": Cpp, "zeekpy": Zeekpy}
NEEDS = {"cpp": "broker", "zeekpy": "zeekpy"}


def measure(cls: type[Subject], count: int) -> dict[str, str]:
    found = {}
    for whole, name in ((True, "receive, all"), (False, "receive, field")):
        with other_side(cls.scheme, "send", count) as (url, pipe):
            subject = cls()
            subject.connect(url)
            pipe.send("go")
            subject.receive(1, whole)
            found[name] = f"{rate(count - 1, partial(subject.receive, count - 1, whole)):,.0f}/s"
            subject.close()
    with other_side(cls.scheme, "take", count) as (url, pipe):
        subject = cls()
        subject.connect(url)
        pipe.send("go")

        def publish() -> None:
            for number in range(count):
                subject.publish(number)
            pipe.recv()

        found["publish"] = f"{rate(count, publish):,.0f}/s"
        subject.close()
    with other_side(cls.scheme, "answer", 0) as (url, pipe):
        subject = cls()
        subject.connect(url)
        pipe.send("go")
        times = []
        for number in range(ROUNDS):
            began = time.perf_counter()
            subject.publish(number)
            subject.answer()
            times.append((time.perf_counter() - began) * 1e6)
        percentiles = statistics.quantiles(times, n=100)
        found["round trip"] = f"{percentiles[49]:.0f} us, 99 %: {percentiles[98]:.0f} us"
        subject.close()
    return found


def zenoh_rates(count: int) -> dict[str, str]:
    """The same amount of bytes through zenoh, which knows no values: what a receiver gets is bytes,
    and packing and unpacking is not in these numbers."""
    import zenoh

    payload = b"x" * 180
    config = zenoh.Config()
    config.insert_json5("listen/endpoints", '["tcp/127.0.0.1:17447"]')
    config.insert_json5("scouting/multicast/enabled", "false")
    other = zenoh.Config()
    other.insert_json5("connect/endpoints", '["tcp/127.0.0.1:17447"]')
    other.insert_json5("scouting/multicast/enabled", "false")
    with zenoh.open(config) as receiver, zenoh.open(other) as sender:
        subscriber = receiver.declare_subscriber("bench", zenoh.handlers.FifoChannel(1024))
        publisher = sender.declare_publisher(
            "bench", congestion_control=zenoh.CongestionControl.BLOCK
        )
        time.sleep(0.5)
        import threading

        def send() -> None:
            for _ in range(count):
                publisher.put(payload)

        thread = threading.Thread(target=send)

        def receive() -> None:
            thread.start()
            for _ in range(count):
                subscriber.recv()

        found = {"receive, bytes": f"{rate(count, receive):,.0f}/s (one process)"}
        thread.join()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join([*SUBJECTS, "zenoh"]))
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--cpp", help="the directory with the C++ module 'broker'")
    args = parser.parse_args()
    if args.cpp:
        sys.path.insert(0, args.cpp)
        os.environ["PYTHONPATH"] = args.cpp + os.pathsep + os.environ.get("PYTHONPATH", "")
    multiprocessing.set_start_method("spawn")
    for name in args.names or [*SUBJECTS, "zenoh"]:
        module = {**NEEDS, "zenoh": "zenoh"}.get(name)
        if module and importlib.util.find_spec(module) is None:
            print(f"{name}: not installed")
            continue
        if name == "zenoh":
            title, found = "eclipse-zenoh", zenoh_rates(args.events)
        else:
            cls = SUBJECTS[name]
            # What takes a tenth of a second for others may take minutes for some.
            count = args.events if name != "zeekpy" else args.events // 10
            title, found = str(cls.__doc__), measure(cls, count)
        print(title)
        for what, value in found.items():
            print(f"  {what:15} {value}")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
