"""Endpoints for threads: the interpreter's lock, signals, descriptors, processes, memory."""

from __future__ import annotations

import gc
import os
import select
import signal
import threading
import weakref
from typing import Any

import pytest
import zeek_broker as zb
from conftest import LONG
from zeek_broker import Event, sync

Pair = tuple[sync.Endpoint, sync.Endpoint]


def test_an_event_gets_from_one_endpoint_to_another(pair: Pair) -> None:
    sensor, collector = pair
    with collector.subscribe("/t") as subscriber:
        assert subscriber.settled()
        publisher = sensor.publisher("/t")
        publisher.publish(Event("ping", 5))
        assert publisher.flush()
        assert subscriber.pending == 1
        message = subscriber.next(LONG)
        assert message is not None and message.event == Event("ping", 5)
        assert subscriber.next(0) is None and subscriber.poll() == []
    with pytest.raises(zb.Closed):
        subscriber.next()


def test_iteration_ends_with_the_endpoint() -> None:
    endpoint = sync.Endpoint()
    subscriber, events = endpoint.subscribe("/t"), endpoint.events()
    found: list[Any] = []
    threads = [
        threading.Thread(target=lambda s: found.append(list(s)), args=(stream,))
        for stream in (subscriber, events)
    ]
    for thread in threads:
        thread.start()
    endpoint.close()
    for thread in threads:
        thread.join(LONG)
    assert found == [[], []]
    with pytest.raises(zb.Closed):
        endpoint.publish("/t", 1)


def test_threads_share_a_subscriber(pair: Pair) -> None:
    sensor, collector = pair
    subscriber = collector.subscribe("/t", policy="wait")
    subscriber.settled()
    found: list[list[int]] = [[] for _ in range(4)]

    def receive(own: list[int]) -> None:
        own.extend(message.value for message in subscriber)

    threads = [threading.Thread(target=receive, args=(own,)) for own in found]
    for thread in threads:
        thread.start()
    publishers = [
        threading.Thread(target=lambda: [sensor.publish("/t", n) for n in range(500)])
        for _ in range(3)
    ]
    for thread in publishers:
        thread.start()
    for thread in publishers:
        thread.join(LONG)
    sensor.flush()
    collector.close()
    for thread in threads:
        thread.join(LONG)
    assert sorted(sum(found, [])) == sorted(list(range(500)) * 3)


def test_other_threads_run_while_one_waits(script: Any) -> None:
    child = script(
        """
        import threading
        from zeek_broker import sync
        endpoint = sync.Endpoint()
        subscriber = endpoint.subscribe("/t")
        # With the interpreter's lock held by the wait this thread would never get to end it.
        threading.Timer(0.2, subscriber.close).start()
        try:
            subscriber.next()
        except sync.Closed:
            print("closed")
        """
    )
    try:
        assert child.communicate(timeout=LONG)[0] == "closed\n"
    finally:
        child.kill()


def test_descriptors_serve_select_loops(pair: Pair) -> None:
    sensor, collector = pair
    subscriber = collector.subscribe("/t")
    subscriber.settled()
    events = collector.events()

    def readable(*streams: Any) -> list[Any]:
        return select.select(streams, [], [], 0)[0]

    assert readable(subscriber, events) == []
    for round in range(3):
        sensor.publish("/t", round)
        assert select.select([subscriber], [], [], LONG)[0]
        assert subscriber.next(LONG).value == round  # type: ignore[union-attr]
        assert readable(subscriber) == []
    sensor.close()
    assert select.select([events], [], [], LONG)[0]
    kinds = [type(events.next(LONG)) for _ in range(2)]
    assert kinds == [zb.PeerLost, zb.EndpointUnreachable]
    assert readable(events) == []


def test_a_limited_wait_ends_in_time(pair: Pair) -> None:
    _, collector = pair
    subscriber = collector.subscribe("/t")
    assert subscriber.next(0.25) is None
    assert subscriber.next_batch(10, timeout=0.01) == []
    assert collector.events().next(0.01) is None


INTERRUPTED = """
    import signal, sys, threading
    from zeek_broker import compat, sync

    what = sys.argv[1]
    collector = sync.Endpoint()
    url = collector.listen("tcp://127.0.0.1:0")
    subscriber = collector.subscribe("/t")
    broker = compat.Endpoint()
    waits = {
        "next": lambda: subscriber.next(),
        "for": lambda: list(subscriber),
        "events": lambda: list(collector.events()),
        "peer": lambda: collector.peer("tcp://127.0.0.1:1", retry=sync.Retry.every(100)),
        "get": lambda: broker.make_subscriber("/t").get(),
        "get many": lambda: broker.make_subscriber("/t").get(10),
        "compat peer": lambda: broker.peer("127.0.0.1", 1),
        "status": lambda: broker.make_status_subscriber(True).get(),
        "await_peer": lambda: broker.await_peer(collector.id, 100),
    }
    try:
        print("ready", flush=True)
        waits[what]()
    except KeyboardInterrupt:
        # Everything works as before.
        with sync.connect(url) as sensor:
            subscriber.settled()
            sensor.publish("/t", 1)
            assert subscriber.next(30).value == 1
        print("interrupted", flush=True)
"""


@pytest.mark.parametrize(
    "what",
    ["next", "for", "events", "peer", "get", "get many", "compat peer", "status", "await_peer"],
)
def test_a_signal_ends_a_wait_and_nothing_else(script: Any, what: str) -> None:
    child = script(INTERRUPTED, what)
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=LONG)
    assert (child.returncode, output) == (0, "interrupted\n"), errors


def test_messages_that_were_waited_for_are_there_after_an_interruption(script: Any) -> None:
    child = script(
        """
        from zeek_broker import compat
        a, b = compat.Endpoint(), compat.Endpoint()
        subscriber = a.make_subscriber("/t")
        assert b.peer("127.0.0.1", a.listen("127.0.0.1", 0), 0)
        for number in range(3):
            b.publish("/t", number)
        try:
            print("ready", flush=True)
            subscriber.get(10)
        except KeyboardInterrupt:
            print(subscriber.get(3), flush=True)
        """
    )
    assert child.stdout.readline() == "ready\n"
    child.send_signal(signal.SIGINT)
    output, errors = child.communicate(timeout=LONG)
    assert output == "[('/t', 0), ('/t', 1), ('/t', 2)]\n", errors


def test_the_interpreter_ends_without_a_shutdown(script: Any) -> None:
    child = script(
        """
        import threading
        from zeek_broker import compat, sync
        a, b = sync.Endpoint(), compat.Endpoint()
        a.listen("tcp://127.0.0.1:0")
        subscriber, events = a.subscribe("/t"), a.events()
        old = b.make_subscriber("/t")
        for wait in (subscriber.next, lambda: list(events), old.get, old.get):
            threading.Thread(target=wait, daemon=True).start()
        peering = a.peer_later("tcp://127.0.0.1:1")
        print("end", flush=True)
        """
    )
    output, errors = child.communicate(timeout=LONG)
    assert (child.returncode, output, errors) == (0, "end\n", "")


def test_a_forked_process_is_told_what_it_cannot_do(script: Any) -> None:
    child = script(
        """
        import os, sys
        import zeek_broker
        from zeek_broker import sync
        endpoint = sync.Endpoint()
        subscriber = endpoint.subscribe("/t")
        pid = os.fork()
        if pid == 0:
            errors = []
            for call in (subscriber.next, lambda: endpoint.publish("/t", 1), sync.Endpoint,
                         endpoint.events, endpoint.close, lambda: subscriber.pending):
                try:
                    call()
                except RuntimeError as error:
                    errors.append("fork" in str(error))
            # Destructors run and do not hang.
            del subscriber, endpoint
            sys.exit(0 if errors == [True] * 6 else 1)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), subscriber.next(0), flush=True)
        """
    )
    output, errors = child.communicate(timeout=LONG)
    assert output == "0 None\n", errors


def test_a_fork_before_the_first_endpoint_is_none_of_our_business(script: Any) -> None:
    child = script(
        """
        import os, sys
        from zeek_broker import sync
        pid = os.fork()
        with sync.serve("tcp://127.0.0.1:0") as collector, sync.connect(collector.url):
            pass
        if pid:
            _, status = os.waitpid(pid, 0)
            print(os.waitstatus_to_exitcode(status))
        """
    )
    assert child.communicate(timeout=LONG)[0] == "0\n"


def test_there_are_no_threads_before_the_first_endpoint(script: Any) -> None:
    child = script(
        """
        import os
        import zeek_broker, zeek_broker.compat, zeek_broker.sync
        zeek_broker.Event("x", zeek_broker.Count(1))
        print(len(os.listdir("/proc/self/task")))
        zeek_broker.sync.Endpoint()
        assert len(os.listdir("/proc/self/task")) > 1
        """
    )
    if not os.path.isdir("/proc/self/task"):
        pytest.skip("needs /proc")
    assert child.communicate(timeout=LONG)[0] == "1\n"


def test_objects_that_nobody_has_any_more_are_gone(pair: Pair) -> None:
    _, collector = pair
    subscriber = collector.subscribe("/gone")
    assert collector.flush()
    native = subscriber._queue
    reference = weakref.ref(subscriber)
    fd = native.fileno()
    os.fstat(fd)
    del subscriber, native
    gc.collect()
    assert reference() is None
    with pytest.raises(OSError):
        os.fstat(fd)


def memory() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGESIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs /proc")
def test_a_million_messages_leave_nothing_behind(pair: Pair) -> None:
    sensor, collector = pair
    subscriber = collector.subscribe("/t", policy="wait")
    subscriber.settled()
    event = Event("conn", 5, "text", (1, {"a": 2}))
    rounds, each = 20, 50_000

    def publish() -> None:
        for _ in range(rounds * each):
            sensor.publish("/t", event)

    publishing = threading.Thread(target=publish)
    publishing.start()
    levels = []
    for _ in range(rounds):
        left = each
        while left:
            batch = subscriber.next_batch(min(left, 1024))
            assert all(message.event == event for message in batch[:1])
            left -= len(batch)
        levels.append(memory())
    publishing.join(LONG)
    # What is reserved for queues and caches is there after a few rounds.
    assert max(levels[5:]) - levels[4] < 64 << 20, levels


def test_the_package_is_typed() -> None:
    assert os.path.exists(os.path.join(os.path.dirname(zb.__file__), "py.typed"))


def test_the_module_can_be_reloaded(script: Any) -> None:
    child = script(
        """
        import importlib
        import zeek_broker, zeek_broker.compat
        for module in (zeek_broker, zeek_broker.compat):
            importlib.reload(module)
        zeek_broker.compat.install()
        import broker, broker.zeek
        importlib.reload(broker)
        print(broker.zeek.Event("x").name())
        """
    )
    assert child.communicate(timeout=LONG)[0] == "x\n"
