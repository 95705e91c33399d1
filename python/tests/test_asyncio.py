"""Endpoints in an event loop, of asyncio and of uvloop."""

from __future__ import annotations

import asyncio
import gc
import logging
import socket
from typing import Any

import pytest
import zeek_broker as zb
from conftest import LONG
from zeek_broker import Count, Event, Retry

ANY = "tcp://127.0.0.1:0"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_an_event_gets_from_one_endpoint_to_another(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, collector.subscribe("/t") as subscriber:
            async with zb.connect(collector.url) as sensor:
                await sensor.publish("/t/1", Event("ping", "hello", Count(5), metadata={200: "x"}))
                message = await subscriber.next(LONG)
                assert message is not None
                assert (message.topic, message.sender) == ("/t/1", sensor.id)
                assert message.event == Event("ping", "hello", Count(5), metadata={200: "x"})
                assert message.value[2][0] == message.field(2, 0) == "ping"
                assert message.raw and repr(message).startswith("Message('/t/1', (Count(1), ")
                with pytest.raises(IndexError):
                    message.field(9)
                match message:
                    case zb.Message(topic, (Count(), _, (name, *_))):
                        assert (topic, name) == ("/t/1", "ping")
                    case _:
                        pytest.fail("no match")

    run(main())


def test_the_accepting_side_may_publish_at_once(run: Any) -> None:
    async def main() -> None:
        for _ in range(20):
            async with zb.serve(ANY) as collector, zb.Endpoint() as sensor:
                async with sensor.subscribe("/t") as subscriber:
                    await sensor.peer(collector.url)
                    await collector.publish("/t", 1)
                    assert (await subscriber.next(LONG)).value == 1

    run(main())


def test_topics_reach_the_peers(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.connect(collector.url) as sensor:
            async with collector.subscribe() as subscriber:
                subscriber.add("/a", "/b")
                assert await subscriber.settled()
                await sensor.publish("/a", 1)
                assert (await subscriber.next(LONG)).value == 1
                subscriber.remove("/a")
                assert await subscriber.settled()
                await sensor.publish("/a", 2)
                await sensor.publish("/b", 3)
                assert (await subscriber.next(LONG)).value == 3

    run(main())


def test_a_task_that_is_cancelled_while_it_waits_has_received_nothing(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.connect(collector.url) as sensor:
            async with collector.subscribe("/t") as subscriber:
                await subscriber.settled()
                for number in range(10):
                    waiting = asyncio.create_task(subscriber.next())
                    await asyncio.sleep(0)
                    waiting.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await waiting
                    await sensor.publish("/t", number)
                    assert (await subscriber.next(LONG)).value == number

    run(main())


def test_each_message_goes_to_one_of_the_tasks_that_wait(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.connect(collector.url) as sensor:
            async with collector.subscribe("/t") as subscriber:
                await subscriber.settled()
                tasks = [asyncio.create_task(subscriber.next()) for _ in range(5)]
                await asyncio.sleep(0)
                for number in range(5):
                    await sensor.publish("/t", number)
                found = [message.value for message in await asyncio.gather(*tasks)]
                assert sorted(found) == list(range(5))

    run(main())


def test_time_limits(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, collector.subscribe("/t") as subscriber:
            assert await subscriber.next(0) is None
            assert await subscriber.next(0.01) is None
            assert await subscriber.next_batch(5, timeout=0.01) == []
            assert await collector.events().next(0.01) is None
            assert not await collector.wait_for_peer("1" * 8 + "-1111-4111-8111-" + "1" * 12, 0.01)
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(subscriber.next(), 0.01)
            assert not subscriber._readable._waiting

    run(main())


def test_batches_have_what_is_there(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.connect(collector.url) as sensor:
            async with collector.subscribe("/t") as subscriber:
                await subscriber.settled()
                for number in range(10):
                    await sensor.publish("/t", number)
                assert await sensor.flush()
                assert subscriber.pending == 10
                assert [m.value for m in await subscriber.next_batch(4)] == [0, 1, 2, 3]
                assert [m.value for m in subscriber.poll()] == [4, 5, 6, 7, 8, 9]
                assert subscriber.poll() == [] and await subscriber.next_batch(0) == []

    run(main())


def test_iteration_ends_with_the_endpoint(run: Any) -> None:
    async def main() -> None:
        endpoint = zb.Endpoint()
        subscriber, events = endpoint.subscribe("/t"), endpoint.events()

        async def collect(stream: Any) -> list[Any]:
            return [item async for item in stream]

        tasks = [asyncio.create_task(collect(stream)) for stream in (subscriber, events)]
        await asyncio.sleep(0)
        await endpoint.close()
        assert await asyncio.gather(*tasks) == [[], []]
        for stream in (subscriber, events):
            with pytest.raises(zb.Closed):
                await stream.next()
        with pytest.raises(zb.Closed):
            await endpoint.publish("/t", 1)

    run(main())


def test_a_closed_subscriber_wakes_who_waits_for_it(run: Any) -> None:
    async def main() -> None:
        async with zb.Endpoint() as endpoint:
            subscriber = endpoint.subscribe("/t")
            waiting = asyncio.create_task(subscriber.next())
            await asyncio.sleep(0)
            subscriber.close()
            with pytest.raises(zb.Closed):
                await waiting

    run(main())


def test_statuses_are_told_in_their_order(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.Endpoint() as sensor:
            events = sensor.events()
            peering = await sensor.peer(collector.url)
            assert (peering.peer_id, peering.state) == (collector.id, "peered")
            assert [peer.id for peer in sensor.peers()] == [collector.id]
            await peering.close()
            found = [await events.next(LONG) for _ in range(4)]
            kinds = []
            for item in found:
                match item:
                    case zb.EndpointDiscovered(id) | zb.EndpointUnreachable(id):
                        kinds.append(type(item))
                    case zb.PeerAdded(id, url) | zb.PeerRemoved(id, url):
                        assert url == collector.url
                        kinds.append(type(item))
                assert id == collector.id
            assert kinds == [
                zb.EndpointDiscovered,
                zb.PeerAdded,
                zb.PeerRemoved,
                zb.EndpointUnreachable,
            ]
            assert peering.state == "disconnected"

    run(main())


def test_what_fails_says_why(run: Any) -> None:
    async def main() -> None:
        async with zb.Endpoint() as endpoint:
            events = endpoint.events()
            url = f"tcp://127.0.0.1:{free_port()}"
            with pytest.raises(zb.PeerUnavailable) as failure:
                await endpoint.peer(url)
            assert (failure.value.code, failure.value.reason) == (4, "refused")
            assert "port" in str(failure.value.advice)
            match await events.next(LONG):
                case zb.PeerError(code=4, url=told, reason="refused"):
                    assert told == url
                case other:
                    pytest.fail(repr(other))
            with pytest.raises(zb.PeerIncompatible):
                await endpoint.peer("nonsense://127.0.0.1:1")
            with pytest.raises(ValueError, match="port is missing"):
                await endpoint.peer("host")
            with pytest.raises(zb.TransportError):
                await endpoint.listen("tcp://192.0.2.1:1")
            with pytest.raises(zb.Timeout):
                await endpoint.ping("1" * 8 + "-1111-4111-8111-" + "1" * 12)
            with pytest.raises(zb.InvalidData):
                await endpoint.publish("<$>/local/x", 1)

    run(main())


def test_a_request_that_is_not_waited_for_is_given_up(run: Any) -> None:
    async def main() -> None:
        async with zb.Endpoint() as endpoint:
            url = f"tcp://127.0.0.1:{free_port()}"
            with pytest.raises(zb.Timeout):
                await endpoint.peer(url, retry=Retry.every(60), timeout=0.05)
            assert endpoint.peers() == []
            peering = endpoint.peer_later(url, retry=Retry.every(60))
            with pytest.raises(zb.Timeout):
                await peering.established(0.05)
            assert [peer.state for peer in endpoint.peers()] == ["connecting"]
            assert peering.peer_id is None
            await peering.close()
            with pytest.raises(zb.BrokerError):
                await peering

    run(main())


def test_a_request_with_a_retry_waits_for_its_peer(run: Any) -> None:
    async def main() -> None:
        async with zb.Endpoint() as sensor, zb.Endpoint() as collector:
            url = f"tcp://127.0.0.1:{free_port()}"
            peering = sensor.peer_later(url, retry=Retry.every(0.05))
            await collector.listen(url)
            assert (await peering).peer_id == collector.id
            assert await sensor.ping(collector.id) > 0

    run(main())


@pytest.mark.parametrize("scheme", ["tcp", "tls", "ws", "wss", "quic"])
def test_every_transport_works(run: Any, scheme: str) -> None:
    async def main() -> None:
        async with zb.serve(f"{scheme}://127.0.0.1:0") as collector:
            async with collector.subscribe("/t") as subscriber:
                async with zb.connect(collector.url) as sensor:
                    await sensor.publish("/t", ["x", 1])
                    assert (await subscriber.next(LONG)).value == ("x", 1)

    run(main())


def test_publishers_wait_for_a_slow_peer(run: Any) -> None:
    async def main() -> None:
        config = {"limits": {"subscriber-messages": 2}}
        async with zb.serve(ANY, config=config) as collector:
            slow = collector.subscribe("/t", policy="wait")
            limits = {"limits": {"outbox-messages": 2, "outbox-bytes": 1000}}
            async with zb.connect(collector.url, config=limits) as sensor:
                big = "x" * 100_000

                async def publish() -> None:
                    for number in range(200):
                        await sensor.publish("/t", (number, big))

                publishing = asyncio.create_task(publish())
                done, _ = await asyncio.wait([publishing], timeout=0.3)
                assert not done, "nothing waited"
                for number in range(200):
                    assert (await slow.next(LONG)).field(0) == number
                await publishing
                assert slow.dropped == 0

    run(main())


def test_a_flood_leaves_other_tasks_their_turn(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.connect(collector.url) as sensor:
            subscriber = collector.subscribe("/t", policy="wait")
            await subscriber.settled()
            ticks = 0

            async def tick() -> None:
                nonlocal ticks
                while True:
                    ticks += 1
                    await asyncio.sleep(0)

            ticking = asyncio.create_task(tick())
            for number in range(2000):
                await sensor.publish("/t", number)
            assert ticks > 3
            await sensor.flush()
            ticks = 0
            async for message in subscriber:
                if message.value == 1999:
                    break
            assert ticks > 3
            ticking.cancel()

    run(main())


def test_what_has_no_room_is_counted(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.connect(collector.url) as sensor:
            async with collector.subscribe("/t", buffer=3) as subscriber:
                await subscriber.settled()
                for number in range(10):
                    await sensor.publish("/t", number)
                assert await sensor.publisher("/t").flush()
                assert [m.value for m in subscriber.poll()] == [7, 8, 9]
                assert subscriber.dropped == 7

    run(main())


def test_handlers_get_what_their_parameters_say(run: Any, caplog: Any) -> None:
    async def main() -> None:
        got: list[Any] = []
        async with zb.serve(ANY) as collector, zb.connect(collector.url) as sensor:

            @collector.on("add", topic="/t")
            async def add(a: int, b: int, *, event: Event, message: zb.Message) -> None:
                await asyncio.sleep(0)
                got.append((a + b, event.name, message.topic))

            @collector.on("add", topic="/t")
            def also(*numbers: int) -> None:
                got.append(numbers)

            @collector.on("stop", topic=("/t", "/u"))
            async def stop() -> None:
                await collector.close()

            running = asyncio.create_task(collector.run())
            await asyncio.sleep(0)
            await collector.flush()
            await sensor.publish("/t", Event("add", 1, Count(2)))
            await sensor.publish("/t", Event("add", "x", 2))
            await sensor.publish("/t", "no event")
            await sensor.publish("/u", Event("stop"))
            await running
        assert got == [(3, "add", "/t"), (1, 2)]
        warnings = [record.message for record in caplog.records]
        assert sum("add: not handled by" in warning for warning in warnings) == 2

    run(main())


def test_exceptions_of_handlers_end_the_run(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.connect(collector.url) as sensor:

            @collector.on("x", topic="/t")
            def fail() -> None:
                raise ZeroDivisionError

            running = asyncio.create_task(collector.run())
            await asyncio.sleep(0)
            await collector.flush()
            await sensor.publish("/t", Event("x"))
            with pytest.raises(ZeroDivisionError):
                await running

    run(main())


def test_the_log_goes_to_the_logging_module(run: Any, caplog: Any) -> None:
    async def main() -> None:
        with caplog.at_level(logging.INFO, "zeek_broker"):
            async with zb.Endpoint() as endpoint:
                with pytest.raises(zb.PeerUnavailable):
                    await endpoint.peer(f"tcp://127.0.0.1:{free_port()}")
        assert [record.reason for record in caplog.records if "refused" in record.message]

    run(main())


def test_options_are_checked() -> None:
    with pytest.raises(ValueError, match="unknown field"):
        zb.Endpoint(config={"nonsense": 1})
    with pytest.raises(ValueError, match="no such policy"):
        zb.Endpoint().subscribe("/t", policy="disconnect")  # type: ignore[arg-type]
    with pytest.raises(zb.TlsError):
        zb.Endpoint(tls=zb.Tls(ca="/does/not/exist.pem"))
    with pytest.raises(ValueError, match="neither certificates nor pins"):
        zb.Tls(anonymous=True, pins=("x",))
    with pytest.raises(ValueError, match="more than zero"):
        Retry.every(0)
    assert "secret" not in repr(zb.Tls(cert="c", key="k", passphrase="secret"))
    with pytest.raises(TypeError, match="a topic is"):
        zb.Endpoint().subscribe(5)  # type: ignore[arg-type]


def test_an_endpoint_may_be_opened_beside_the_loop(run: Any) -> None:
    async def main() -> None:
        async with await zb.Endpoint.open(forwarding=False) as endpoint:
            assert await endpoint.flush()

    run(main())


def test_nothing_is_left_when_loops_end(run: Any) -> None:
    async def main() -> None:
        async with zb.serve(ANY) as collector, zb.connect(collector.url):
            pass

    from zeek_broker._aio import _bridges

    run(main())
    gc.collect()
    assert len(_bridges) == 0
