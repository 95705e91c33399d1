"""The drop-in layer: exact types, texts and blocking behaviour of the C++ module."""

from __future__ import annotations

import datetime
import importlib
import ipaddress
import select
import subprocess
import sys
import threading
import types
import warnings
from pathlib import Path
from typing import Any

import pytest
import zeek_broker.compat as broker
from conftest import LONG
from zeek_broker import sync


def test_public_names_are_those_of_the_module() -> None:
    names = """APIFlags Address Backend BrokerOptions Configuration Count Data EC Endpoint
        EndpointInfo Enum Error Frontend ImmutableData Message NetworkInfo PeerFlags PeerInfo
        PeerStatus Port Publisher SC SafeSubscriber Set Status StatusSubscriber Store Subnet
        Subscriber Table Timespan Timestamp Topic Vector Version now utc zeek""".split()
    assert [name for name in names if not hasattr(broker, name)] == []
    native = """VectorTopic VectorPeerInfo VectorPairTopicData VectorStatusSubscriberValueType
        OptionalNetworkInfo OptionalSubscriberBaseValueType OptionalTimespan ExpectedStore
        ExpectedData MapBackendOptions Infinite Endpoint Subscriber StatusSubscriber Publisher Store
        Data zeek Version Blocking NonBlocking Master Clone Memory SQLite""".split()
    assert [name for name in native if not hasattr(broker._broker, name)] == []
    assert broker.__implementation__ == "rust"
    assert broker.Version.string() == "2.8.0" and broker.Version.compatible(2)
    assert (broker.Version.MAJOR, broker.Version.PROTOCOL) == (2, 2)
    assert isinstance(broker.Version, types.ModuleType)
    for cls in (broker.Count, broker.Port, broker.Status, broker.Topic, broker.EndpointInfo):
        assert cls.__module__ == "broker._broker"


def test_enumerations() -> None:
    SC, EC = broker.SC, broker.EC
    assert (repr(SC.PeerAdded), str(SC.PeerAdded)) == ("<SC.PeerAdded: 1>", "SC.PeerAdded")
    assert (SC(1), int(SC.PeerLost), SC.PeerLost.name, SC.PeerLost.value) == (
        SC.PeerAdded,
        3,
        "PeerLost",
        3,
    )
    assert SC(77).name == "???" and hash(SC.PeerAdded) == 1 and [0, 1, 2][SC.PeerAdded] == 1
    assert list(SC.__members__) == [
        "Unspecified",
        "PeerAdded",
        "PeerRemoved",
        "PeerLost",
        "EndpointDiscovered",
        "EndpointUnreachable",
    ]
    assert not SC.PeerAdded == 1 and SC.PeerAdded != EC.Unspecified
    with pytest.raises(TypeError):
        SC.PeerAdded < SC.PeerLost  # noqa: B015
    assert EC.PeerUnavailable == 4 and 4 == EC.PeerUnavailable and not EC.PeerUnavailable != 4
    assert EC.StaleData.value == 14 and EC(5).name == "???"
    assert broker.Data.Type.Nil == getattr(broker.Data.Type, "None")
    assert broker.Data.Type.Vector.value == 14
    assert broker.Port.TCP is broker.Port.Protocol.TCP
    assert broker.PeerFlags.Inbound.value == 8 and broker.Backend.SQLite.value == 1
    with pytest.raises(AttributeError):
        SC.PeerAdded.value = 5  # type: ignore[misc]


def test_counts_ports_and_labels() -> None:
    Count, Port, Enum = broker.Count, broker.Port, broker.Enum
    assert (str(Count(5)), repr(Count(5)), Count(True).value) == ("5", "Count(5)", 1)
    assert Count(1) < Count(2) and Count(1) == Count(1) and not Count(1) == 1 and bool(Count(0))
    assert {Count(1): "x"}[Count(1)] == "x"
    for wrong in (1.0, "1", None):
        with pytest.raises(TypeError, match="incompatible constructor arguments"):
            Count(wrong)
    for wrong in (-1, 2**64):
        with pytest.raises(OverflowError):
            Count(wrong)
    with pytest.raises(TypeError):
        Count(1) < 1  # noqa: B015
    with pytest.raises(AttributeError):
        Count(1).other = 1
    count = Count(1)
    count.value = 2
    assert count == Count(2)
    port = Port(80, Port.TCP)
    assert (str(port), repr(port), port.number(), port.get_type()) == (
        "80/tcp",
        "80/tcp",
        80,
        Port.TCP,
    )
    assert str(Port()) == "0/?" and Port(1, Port.TCP) < Port(1, Port.UDP)
    for arguments in ((80, 1), (80,), (70000, Port.TCP), ("80", Port.TCP)):
        with pytest.raises(TypeError):
            Port(*arguments)
    label = Enum("A::B")
    assert (str(label), repr(label), label.name) == ("A::B", "A::B", "A::B")
    assert Enum("a") < Enum("b") and Enum(b"a") == Enum("a") and Enum("a") != "a"


def test_addresses_and_networks() -> None:
    Address, Subnet = broker.Address, broker.Subnet
    v4 = Address(b"\x0a\x01\x02\x03", 4)
    assert (str(v4), v4.is_v4(), v4.is_v6(), len(v4.bytes())) == ("10.1.2.3", True, False, 16)
    assert str(Address()) == "::" and Address().is_v6()
    network = Subnet(v4, 8)
    assert (str(network), network.length(), str(network.network())) == ("10.0.0.0/8", 8, "10.0.0.0")
    assert network.contains(v4) and not network.contains(Address())
    assert str(Subnet()) == "::/0" and str(Subnet(v4, 200)) == "::/0"
    assert v4.mask(104) and str(v4) == "10.0.0.0"
    with pytest.raises(ValueError, match="4 bytes"):
        Address(b"123", 4)
    assert broker.Data.to_py(broker.Data(network)) == ipaddress.ip_network("10.0.0.0/8")
    assert broker.Data(network).as_subnet() == network
    assert str(broker.Data(ipaddress.ip_address("::1")).as_address()) == "::1"


def test_times() -> None:
    Timespan, Timestamp = broker.Timespan, broker.Timestamp
    assert (repr(Timespan(5)), Timespan(1.5).count()) == ("5ns", 1_500_000_000)
    assert Timespan(7) / Timespan(2) == 3 and Timespan(-7) / 2 == Timespan(-3)
    assert Timespan(-7) % 2 == Timespan(-1) and 2 * Timespan(3) == Timespan(6)
    assert Timespan(1) + Timespan(2) - Timespan(1) == Timespan(2) < Timespan(3)
    assert Timestamp(2).time_since_epoch() == Timespan(2.0) and Timestamp(Timespan(3)) > Timestamp()
    for wrong in (float("nan"), float("inf"), 1e300):
        with pytest.raises(OverflowError):
            Timespan(wrong)
    to_py, Data = broker.Data.to_py, broker.Data
    assert to_py(Data(Timespan(5))) == datetime.timedelta(0)
    assert to_py(Data(Timestamp(1.5))) == datetime.datetime(1970, 1, 1, 0, 0, 1, 500000, broker.utc)
    assert Data(Timestamp(1.5)).as_timestamp() == 1.5
    exact = datetime.datetime(2026, 8, 1, 1, 2, 3, 456789, tzinfo=broker.utc)
    assert to_py(Data(exact)) == exact
    for far in (datetime.datetime(2300, 1, 1), datetime.timedelta(days=200_000), 2**63):
        with pytest.raises(OverflowError):
            Data(far)


def test_topics() -> None:
    Topic = broker.Topic
    topic = Topic("/a")
    assert topic == topic and Topic("/a") != Topic("/a") and repr(topic) == "/a"
    for left, right, joined in (
        ("/a/", "/b/c", "/a//b/c"),
        ("/b/c", "/a/", "/b/c/a"),
        ("", "b", "b"),
        ("a", "", "a"),
        ("a", "b", "a/b"),
    ):
        assert (Topic(left) / Topic(right)).string() == joined
    with pytest.raises(TypeError):
        topic / "/b"  # type: ignore[operator]


def test_data() -> None:
    Data = broker.Data
    assert Data("x") == Data("x") and not Data(1) == 1 and Data(1) < Data(2)
    assert hash(Data((1, 2))) == hash(Data([1, 2]))
    assert str(Data({"b": 1.5, "a": None})) == "{a -> nil, b -> 1.500000}"
    assert Data().get_type() == Data.Type.Nil and Data.from_py(5).as_integer() == 5
    assert Data(b"\xff").as_string() == b"\xff" and Data.to_py(Data(b"\xff")) == b"\xff"
    assert Data(broker.Count(5)).as_count() == 5
    assert Data(broker.Enum("A")).as_enum_value() == broker.Enum("A")
    assert Data(datetime.timedelta(seconds=2)).as_timespan() == 2.0
    with pytest.raises(RuntimeError, match="^bad variant access$"):
        Data(5).as_string()
    with pytest.raises(TypeError):
        Data().as_none()
    with pytest.raises(UnicodeDecodeError):
        str(Data((b"\xff",)))
    with pytest.raises(TypeError, match="^unsupported data type: <class 'bytearray'>$"):
        Data(bytearray())
    with pytest.raises(TypeError):
        Data("\ud800")
    with pytest.raises(AttributeError):
        Data.to_py(5)


def test_containers() -> None:
    Data, Vector, Set, Table = broker.Data, broker.Vector, broker.Set, broker.Table
    vector = Vector([Data(1), Data("a")])
    assert repr(vector) == "Vector[1, a]" and len(vector) == 2 and vector[1] == Data("a")
    vector.append(Data(2))
    assert Vector(vector) == vector and Data(vector).as_vector() == vector
    assert vector.pop() == Data(2) and vector[:1] == Vector([Data(1)])
    with pytest.raises(IndexError):
        vector[5]
    with pytest.raises(RuntimeError, match="Unable to cast"):
        Vector([1])
    members = Set([Data(3), Data(1)])
    assert repr(members) == "Set{1, 3}" and Data(1) in members
    members.remove(Data(9))
    table = Table()
    table[Data("b")], table[Data("a")] = Data(1), Data(2)
    assert repr(table) == "Table{a: 2, b: 1}" and list(table.keys()) == [Data("a"), Data("b")]
    with pytest.raises(KeyError):
        table[Data("c")]


def test_values_that_cannot_be_members() -> None:
    Data, Immutable = broker.Data, broker.ImmutableData
    inner = Data(broker.Set([Data({"a": 1})]))
    with pytest.raises(TypeError, match="^unhashable type: 'dict'$"):
        Data.to_py(inner)
    nested = Data(broker.Set([Data({1})]))
    with pytest.raises(TypeError, match="^unhashable type: 'set'$"):
        Data.to_py(nested)
    (table,) = Immutable.to_py(inner)
    assert type(table) is Immutable.HashableReadOnlyDict and table == {"a": 1}
    assert type(Immutable.to_py(nested)) is frozenset
    changes = [
        lambda: table.update(b=1),
        lambda: table.pop("a"),
        lambda: table.__setitem__("a", 2),
        lambda: table.__ior__({"b": 2}),
        table.clear,
        table.popitem,
    ]
    for change in changes:
        with pytest.raises(TypeError, match="^cannot modify this dict$"):
            change()
    assert type(table.copy()) is dict and type(table | {"b": 1}) is dict


def test_events() -> None:
    Event, Safe = broker.zeek.Event, broker.zeek.SafeEvent
    event = Event("a", [1, 2], {"x"}, metadata={1: datetime.datetime.now(broker.utc), 200: "u"})
    assert (event.name(), event.args(), event.valid()) == ("a", [(1, 2), {"x"}], True)
    assert [key for key, _ in event.metadata()] == [broker.Count(1), broker.Count(200)]
    assert Event(event).args() == event.args() and Event(event.as_data()).name() == "a"
    assert str(Event("a", 1).as_data()) == "(1, 1, (a, (1)))" and Event("a").metadata() is None
    tables = broker.Set([broker.Data({"a": 1})])
    with pytest.raises(TypeError, match="^unhashable type: 'dict'$"):
        Event("x", tables).args()
    assert Safe("x", tables).args() == [frozenset({broker.ImmutableData.HashableReadOnlyDict(a=1)})]
    with pytest.raises(IndexError):
        Event()
    wrong = Event(("no", "event"))
    assert not wrong.valid()
    with pytest.raises(ValueError, match="^invalid Event data/type$"):
        wrong.name()
    with pytest.raises(ValueError, match="^invalid Event data$"):
        Event((broker.Count(1), broker.Count(1), ("name",))).args()

    class Own(Safe):
        """As programs have it, with a constructor of its own."""

        def __init__(self, name: str, *, extra: int) -> None:
            self.extra = extra
            super().__init__(name, extra)

        def __getattr__(self, name: str) -> str:
            return f"no {name}"

    own = Own("x", extra=5)
    assert (own.args(), own.extra, own.other) == ([5], 5, "no other")


def test_getting_messages(compat_pair: Any) -> None:
    dialler, listener, _ = compat_pair
    subscriber = listener.make_subscriber(["/t", broker.Topic("/u")])
    subscriber.add_topic("/v", True)
    for number in range(6):
        dialler.publish("/t", number)
    item = subscriber.get()
    assert item == ("/t", 0) and type(item) is tuple
    assert subscriber.get(1.0) == ("/t", 1)
    assert subscriber.get(2) == [("/t", 2), ("/t", 3)]
    assert subscriber.get(True) == [("/t", 4)]
    assert subscriber.get(5, 0.2) == [("/t", 5)]
    assert subscriber.get(0) == [] and subscriber.get(0.0) is None and subscriber.get(-1) is None
    assert subscriber.get(-0.5) is None and subscriber.get(3, 0) == [] and subscriber.poll() == []
    for arguments in (("1",), (1, 2, 3), (None,), (-1, 1.0)):
        with pytest.raises(TypeError):
            subscriber.get(*arguments)
    with pytest.raises(TypeError, match="no keyword arguments"):
        subscriber.get(timeout=1)
    dialler.publish("/u", {"a": [1]})
    dialler.publish("/v", broker.zeek.Event("x"))
    assert subscriber.get(2)[0] == ("/u", {"a": (1,)})
    subscriber.remove_topic("/v", True)
    dialler.publish("/v", 1)
    dialler.publish("/t", 7)
    assert subscriber.get() == ("/t", 7)


def test_a_message_that_cannot_be_shown_costs_no_other(compat_pair: Any) -> None:
    dialler, listener, _ = compat_pair
    subscriber = listener.make_subscriber("/t")
    subscriber._subscriber.settle()
    unhashable = broker.Set([broker.Data({"a": 1})])
    for value in (1, unhashable, 2):
        dialler.publish("/t", value)
    with pytest.raises(TypeError, match="unhashable type: 'dict'"):
        subscriber.get(3)
    assert subscriber.get(2) == [("/t", 1), ("/t", 2)]


def test_safe_subscribers_give_values_that_cannot_change(compat_pair: Any) -> None:
    dialler, listener, _ = compat_pair
    subscriber = listener.make_safe_subscriber("/t")
    subscriber._subscriber.settle()
    for _ in range(2):
        dialler.publish("/t", {"a": {1}})
    for _, value in (subscriber.get(), *subscriber.get(1)):
        assert type(value) is broker.ImmutableData.HashableReadOnlyDict
        assert type(value["a"]) is frozenset
    dialler.publish("/t", broker.Set([broker.Data({"a": 1})]))
    while not (found := subscriber.poll()):
        pass
    assert type(found[0][1]) is frozenset


def test_descriptors_are_readable_while_something_is_there(compat_pair: Any) -> None:
    dialler, listener, _ = compat_pair
    subscriber = listener.make_subscriber("/t")
    statuses = listener.make_status_subscriber(True)
    subscriber._subscriber.settle()
    assert select.select([subscriber.fd(), statuses.fd()], [], [], 0)[0] == []
    dialler.publish_batch(("/t", 1), ("/t", 2))
    for left in (1, 0):
        assert select.select([subscriber.fd()], [], [], LONG)[0]
        subscriber.get()
        while subscriber.available() < left:
            pass
    assert select.select([subscriber.fd()], [], [], 0)[0] == []
    with dialler.make_publisher("/t") as publisher:
        publisher.publish_batch(3, 4)
        assert (publisher.buffered(), publisher.capacity(), publisher.free_capacity()) == (
            0,
            128,
            128,
        )
        assert isinstance(publisher.fd(), int) and publisher.demand() == 128
        assert publisher.send_rate() == 0
    assert subscriber.get(2) == [("/t", 3), ("/t", 4)]


def test_what_was_reset_or_shut_down_says_so() -> None:
    endpoint = broker.Endpoint()
    subscriber, other = endpoint.make_subscriber("/t"), endpoint.make_subscriber("/t")
    statuses, publisher = endpoint.make_status_subscriber(), endpoint.make_publisher("/t")
    other.reset()
    publisher.reset()
    statuses.reset()
    calls = [other.get, other.reset, other.poll, other.available, publisher.fd, statuses.get]
    endpoint.shutdown()
    endpoint.shutdown()
    calls += [lambda: endpoint.publish("/t", 1), endpoint.peers, subscriber.get]
    for call in calls:
        with pytest.raises(RuntimeError) as failure:
            call()
        assert isinstance(failure.value, AttributeError)
    assert subscriber.poll() == [] and subscriber.get(0.1) is None and subscriber.get(3) == []


def test_statuses_and_errors(compat_pair: Any) -> None:
    dialler, listener, port = compat_pair
    statuses = dialler.make_status_subscriber(True)
    assert statuses.get(0) == [] and statuses.get(0.01) is None
    assert dialler.unpeer("127.0.0.1", port) is True
    removed, unreachable = statuses.get(2)
    id = listener.node_id()
    text = f'peer_removed({id}, 127.0.0.1:{port}, "removed connection to remote peer")'
    assert type(removed) is broker.Status and repr(removed) == text
    assert repr(unreachable) == f'endpoint_unreachable({id}, "lost the last path")'
    assert not unreachable.context().network.is_set() and repr(unreachable.context()) == id
    network = removed.context().network.get()
    assert (network.address, network.port, repr(network)) == (
        "127.0.0.1",
        port,
        f"127.0.0.1:{port}",
    )
    assert dialler.unpeer("127.0.0.1", 1) is True
    error = statuses.get()
    assert type(error) is broker.Error and error.code() == broker.EC.PeerInvalid
    assert type(error.code()) is int and bool(error)
    assert "peer_invalid(endpoint_info(" in repr(error)
    assert '"cannot unpeer from unknown peer")' in repr(error)
    assert not dialler.peer("127.0.0.1", 1, 0.5)
    error = statuses.get(LONG)
    nil = "00000000-0000-0000-0000-000000000000"
    assert repr(error) == (
        f'peer_unavailable(endpoint_info({nil}, *127.0.0.1:1), "unable to connect to remote peer")'
    )
    assert "refused" in error.message() and error.context().node_id() == nil
    assert (repr(broker.Error()), broker.Error().code()) == ("none", 0)
    assert repr(broker.Status()) == 'unspecified("")' and broker.Status().context() is None


def test_the_code_of_statuses_can_be_patched(monkeypatch: Any) -> None:
    monkeypatch.setattr(broker.Status, "code", lambda self: broker.SC.PeerLost)
    assert broker.Status().code() == broker.SC.PeerLost


def test_errors_only_unless_statuses_are_asked_for(compat_pair: Any) -> None:
    dialler, _, port = compat_pair
    errors = dialler.make_status_subscriber()
    dialler.unpeer("127.0.0.1", port)
    dialler.unpeer("127.0.0.1", 1)
    assert type(errors.get()) is broker.Error and errors.poll() == []


def test_old_scripts_get_the_order_of_version_1(monkeypatch: Any) -> None:
    monkeypatch.setenv("ZEEK_BROKER_COMPAT", "1.x")
    with broker.Endpoint() as listener, broker.Endpoint() as dialler:
        statuses = dialler.make_status_subscriber(True)
        assert dialler.peer("127.0.0.1", listener.listen("127.0.0.1", 0), 0)
        assert statuses.get().code() == broker.SC.PeerAdded and statuses.poll() == []


def test_peers(compat_pair: Any) -> None:
    dialler, listener, port = compat_pair
    (peer,) = dialler.peers()
    assert type(dialler.peers()).__name__ == "VectorPeerInfo"
    assert peer.peer.node_id() == listener.node_id() and peer.status == broker.PeerStatus.Peered
    assert peer.flags == broker.PeerFlags.Remote and peer.peer.network.get().port == port
    listener.make_subscriber("/wanted").add_topic("/x", block=True)
    topics = dialler.peer_subscriptions()
    assert type(topics).__name__ == "VectorTopic"
    assert dialler.await_peer(listener.node_id()) and not dialler.await_peer("nonsense")
    assert not dialler.await_peer(dialler.node_id(), 0.01)
    assert repr(dialler) == dialler.node_id() and len(dialler.node_id()) == 36
    dialler.forward("/f")


@pytest.mark.parametrize("name", ["PeerInfo", "EndpointInfo", "NetworkInfo"])
def test_what_cannot_be_made(name: str) -> None:
    with pytest.raises(TypeError, match="No constructor defined"):
        getattr(broker, name)()


def test_stores_say_what_to_use_instead() -> None:
    with broker.Endpoint() as endpoint:
        for attach in (endpoint.attach_master, endpoint.attach_clone):
            with pytest.raises(NotImplementedError, match="publish its changes as events"):
                attach("store")


def test_configurations(tmp_path: Path, monkeypatch: Any) -> None:
    options = broker.BrokerOptions()
    assert (options.disable_ssl, options.disable_forwarding, options.use_real_time) == (
        False,
        False,
        True,
    )
    options.forward, options.ttl, options.disable_ssl = False, 20, True
    with pytest.raises(TypeError):
        options.disable_ssl = 1  # type: ignore[assignment]
    with pytest.raises(AttributeError):
        options.nonsense = True  # type: ignore[attr-defined]
    with pytest.raises(TypeError):
        broker.Endpoint(options)  # type: ignore[arg-type]
    configuration = broker.Configuration(options)
    assert configuration._resolved()["disable_forwarding"] is True
    configuration.openssl_cafile = "/does/not/exist"
    from zeek_broker import TlsError

    with pytest.raises(TlsError):
        broker.Endpoint(configuration)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "broker.conf").write_text(
        '# comment\nbroker { disable-ssl = true # why\n}\ncaf.openssl.key = "a b"\nx.y = 1\n'
    )
    with pytest.warns(UserWarning, match="x.y means nothing here"):
        resolved = broker.Configuration()._resolved()
    assert (resolved["disable_ssl"], resolved["openssl_key"]) == (True, "a b")
    options = broker.BrokerOptions()
    options.ignore_broker_conf = True
    assert not broker.Configuration(options)._resolved()["disable_ssl"]
    monkeypatch.setenv("BROKER_CONSOLE_VERBOSITY", "nonsense")
    with pytest.raises(ValueError, match="BROKER_CONSOLE_VERBOSITY"):
        broker.Endpoint(broker.Configuration(options))


def test_a_peer_that_never_fits_is_not_tried_for_ever() -> None:
    options = broker.BrokerOptions()
    options.disable_ssl = True
    with broker.Endpoint(broker.Configuration(options)) as plain, broker.Endpoint() as encrypted:
        assert not encrypted.peer("127.0.0.1", plain.listen("127.0.0.1", 0), 1.0)
        assert encrypted.peers() == []


def test_listening_takes_names_and_says_no_with_zero() -> None:
    with broker.Endpoint() as endpoint:
        port = endpoint.listen(address="127.0.0.1")
        assert port > 0 and endpoint.listen("127.0.0.1", port) == 0
        with pytest.raises(TypeError):
            endpoint.listen(5, 5)  # type: ignore[arg-type]


def test_messages_go_both_ways_between_the_layers() -> None:
    options = broker.BrokerOptions()
    options.disable_ssl = True
    with broker.Endpoint(broker.Configuration(options)) as old, sync.Endpoint() as new:
        received, messages = old.make_subscriber("/t"), new.subscribe("/t")
        new.peer(f"tcp://127.0.0.1:{old.listen('127.0.0.1', 0)}")
        from zeek_broker import Count, Event

        new.publish("/t", Event("x", Count(1)))
        assert broker.zeek.Event(received.get()[1]).args() == [broker.Count(1)]
        old.publish("/t", broker.zeek.Event("y", broker.Count(2)))
        assert messages.next(LONG).event == Event("y", Count(2))  # type: ignore[union-attr]


def test_other_threads_run_while_one_waits(compat_pair: Any) -> None:
    dialler, listener, _ = compat_pair
    subscriber = listener.make_subscriber("/t")
    subscriber._subscriber.settle()
    timer = threading.Timer(0.1, dialler.publish, ("/t", "late"))
    timer.start()
    assert subscriber.get() == ("/t", "late")
    timer.join()


def test_bro_is_zeek_with_a_warning(monkeypatch: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sys.modules.pop("zeek_broker.compat.bro", None)
        bro = importlib.import_module("zeek_broker.compat.bro")
    assert bro.Event is broker.zeek.Event
    assert any("broker.zeek" in str(warning.message) for warning in caught)


SCRIPT = """
import sys
import broker
import broker.zeek
import broker.bro
from broker.bro import Event
import broker._broker
assert Event is broker.zeek.Event is broker._broker.zeek.Event
print(broker.__implementation__, sys.argv, __name__)
"""


def test_scripts_run_unchanged(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-W", "ignore", "-m", "zeek_broker.compat", str(script), "a", "b"]
    output = subprocess.run(command, capture_output=True, text=True, timeout=LONG)
    assert output.stdout == f"rust {[str(script), 'a', 'b']} __main__\n", output.stderr
    usage = subprocess.run(command[:5], capture_output=True, text=True, timeout=LONG)
    assert usage.returncode == 2 and "usage" in usage.stderr


def test_another_broker_is_not_replaced_unasked(script: Any) -> None:
    child = script(
        """
        import sys, types
        sys.modules["broker"] = types.ModuleType("broker")
        from zeek_broker import compat
        try:
            compat.install()
        except RuntimeError as error:
            print(error)
        compat.install(force=True)
        import broker
        assert broker is compat
        """
    )
    output, errors = child.communicate(timeout=LONG)
    assert (child.returncode, output) == (
        0,
        "another module 'broker' has been imported already, from somewhere\n",
    ), errors
