"""Values: every type both ways, exactly."""

from __future__ import annotations

import json
import math
import pickle
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from types import MappingProxyType
from typing import Any

import pytest
from conftest import FIXTURES
from hypothesis import given, settings
from hypothesis import strategies as st
from zeek_broker import Count, Enum, Event, Port, SafeTable, Timespan, Timestamp, compat
from zeek_broker._zeek_broker import RawData

MODERN, COMPAT, IMMUTABLE = 0, 1, 2


def encode(value: Any) -> bytes:
    """The encoding of a value, with what only this package takes."""
    return RawData.encode(value).raw()


def decode(encoded: bytes, flavor: int = MODERN) -> Any:
    return RawData.from_bytes(encoded).to_python(flavor)


def same(a: Any, b: Any) -> bool:
    """Equality that tells types apart."""
    if isinstance(a, float) and isinstance(b, float) and math.isnan(a):
        return math.isnan(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return bool(a == b)


#: The one is no value that the C++ Broker wrote by intention, and of the other Python takes 1, True
#: and Count(1) for one member.
NOT_IN_PYTHON = {"real 4.9406564584124654e-324", "set mixed"}


def vectors() -> list[Any]:
    values = json.loads((FIXTURES / "vectors" / "data-v1.json").read_text())["values"]
    return [pytest.param(value, id=value["name"]) for value in values]


@pytest.mark.parametrize("vector", vectors())
def test_recorded_values_are_read_shown_and_written_again(vector: dict[str, str]) -> None:
    encoded = bytes.fromhex(vector["bin"])
    data = RawData.from_bytes(encoded)
    if vector["name"] in NOT_IN_PYTHON:
        return
    assert data.text().hex() == vector["text_hex"]
    assert encode(data.to_python(MODERN)) == encoded


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        False,
        Count(0),
        Count(2**64 - 1),
        0,
        -(2**63),
        2**63 - 1,
        1.5,
        math.inf,
        "",
        "text",
        "ö€😀",
        b"\xff\xfe",
        Enum("Notice::LOG"),
        IPv4Address("10.0.0.1"),
        IPv6Address("2001:db8::1"),
        IPv4Network("10.0.0.0/8"),
        IPv6Network("2001:db8::/32"),
        IPv4Network("0.0.0.0/0"),
        IPv6Network("::/0"),
        Port(80, "tcp"),
        Port(53, "udp"),
        Port(8, "icmp"),
        Port(0, "?"),
        Timestamp(-1),
        Timestamp(2**63 - 1),
        Timespan(-(2**63)),
        (),
        (1, ("a", None)),
        set(),
        {1, 2, 3},
        {},
        {"a": Count(1), "b": {"c": 2}},
        {("a", 1): "x"},
    ],
    ids=repr,
)
def test_values_come_back_as_they_were(value: Any) -> None:
    assert same(decode(encode(value)), value)


# Without those that rounding to microseconds takes out of range.
nanoseconds = st.integers(-(2**63) + 1000, 2**63 - 1000)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.integers(0, 2**64 - 1).map(Count)
    | st.floats(allow_nan=False).filter(lambda x: x == 0 or abs(x) > 1e-300)
    | st.text()
    | st.ip_addresses().filter(lambda address: not getattr(address, "ipv4_mapped", None))
    | nanoseconds.map(Timestamp)
    | nanoseconds.map(Timespan)
    | st.builds(Port, st.integers(0, 65535), st.sampled_from(["tcp", "udp", "icmp", "?"]))
    | st.text(min_size=1).map(Enum)
)
# Members of sets and keys are of one type each, as in Zeek: Python takes 1, True and Count(1) for
# the same member.
members = st.text() | st.tuples(st.text(), st.integers(-5, 5))
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4).map(tuple)
        | st.sets(members, max_size=4)
        | st.dictionaries(members, inner, max_size=4)
    ),
    max_leaves=20,
)


@given(values)
@settings(max_examples=300, deadline=None)
def test_any_value_comes_back_as_it_was(value: Any) -> None:
    assert decode(encode(value)) == value


@given(values)
@settings(max_examples=100, deadline=None)
def test_equal_values_have_one_encoding_and_all_flavors_can_be_sent_again(value: Any) -> None:
    encoded = encode(value)
    for flavor in (MODERN, COMPAT, IMMUTABLE):
        again = encode(decode(encoded, flavor))
        # Times lose what Python's classes have no place for, addresses nothing.
        if not any(isinstance(part, (Timestamp, Timespan)) for part in walk(value)):
            assert again == encoded


def walk(value: Any) -> Any:
    yield value
    if isinstance(value, (tuple, set, frozenset)):
        for part in value:
            yield from walk(part)
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from walk(key)
            yield from walk(part)


def test_members_of_sets_and_keys_become_hashable() -> None:
    inner = compat.Table()
    inner[compat.Data("k")] = compat.Data({1})
    outer = compat.Set([compat.Data(inner), compat.Data("x")])
    found = decode(compat.Data(outer).raw())
    assert found == {"x", SafeTable({"k": frozenset({1})})}
    table = next(member for member in found if member != "x")
    with pytest.raises(TypeError, match="cannot be changed"):
        table["k"] = 1
    assert same(decode(encode(found)), found)


def test_other_containers_are_taken_as_well() -> None:
    assert decode(encode([1, [2]])) == (1, (2,))
    assert decode(encode(frozenset("ab"))) == {"a", "b"}
    assert decode(encode(MappingProxyType({"a": 1}))) == {"a": 1}
    assert decode(encode(timedelta(seconds=-1))) == Timespan(-1_000_000_000)
    aware = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=5)))
    assert decode(encode(aware)).to_datetime() == aware
    naive = datetime(2026, 1, 2, 3, 4, 5, 6)
    assert decode(encode(naive)).to_datetime().timestamp() == naive.timestamp()


def test_records_are_dataclasses() -> None:
    @dataclass
    class Record:
        host: IPv4Address
        port: Port

    record = Record(IPv4Address("1.2.3.4"), Port(80))
    assert decode(encode(record)) == (record.host, record.port)
    with pytest.raises(TypeError, match="unsupported data type: <class"):
        RawData(record)


@pytest.mark.parametrize(
    "value",
    [
        2**63,
        -(2**63) - 1,
        datetime(9999, 1, 1, tzinfo=timezone.utc),
        timedelta(days=200_000),
    ],
    ids=repr,
)
def test_what_has_no_encoding_is_refused(value: Any) -> None:
    with pytest.raises(OverflowError):
        encode(value)


def test_counts_are_unsigned() -> None:
    for value in (-1, 2**64):
        with pytest.raises(OverflowError):
            Count(value)


def test_mapped_networks_are_those_of_ipv4() -> None:
    assert decode(encode(IPv6Network("::ffff:10.0.0.0/104"))) == IPv4Network("10.0.0.0/8")


def test_endless_values_are_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(RecursionError):
        encode(endless)


@pytest.mark.parametrize("value", [bytearray(b"x"), range(3), object(), 1j, iter([])], ids=repr)
def test_types_without_a_counterpart_are_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="unsupported data type"):
        encode(value)


def test_errors_in_the_middle_leave_nothing_behind() -> None:
    with pytest.raises(TypeError):
        encode({"a": [1, {2, object()}], "b": 3})


def test_times_are_exact() -> None:
    time = Timestamp(1_767_225_600_123_456_789)
    assert Timestamp.from_datetime(time.to_datetime()).ns == 1_767_225_600_123_457_000
    assert time - Timestamp(89) == Timespan(time.ns - 89)
    assert time + Timespan(11) == Timestamp(time.ns + 11)
    assert Timespan.from_timedelta(timedelta(microseconds=3)).ns == 3000
    assert Timespan(2500).to_timedelta() == timedelta(microseconds=2)
    assert Timespan(3500).to_timedelta() == timedelta(microseconds=4)
    assert Timestamp.from_seconds(0.1).ns == 100_000_000
    assert Timestamp(1) < Timestamp(2) and hash(Timestamp(1)) == hash(Timestamp(1))
    with pytest.raises(OverflowError):
        Timestamp(2**63 - 1) + Timespan(1)
    with pytest.raises(OverflowError):
        Timespan.from_seconds(math.nan)
    match time:
        case Timestamp(ns):
            assert ns == time.ns


def test_values_survive_pickling_and_repr_reads_back() -> None:
    event = Event("a", Count(1), Enum("E"), metadata={1: Timestamp(5)})
    for value in (event, Count(1), Enum("x"), Port(1), Timestamp(1), Timespan(2), SafeTable(a=1)):
        assert same(pickle.loads(pickle.dumps(value)), value)
        assert same(eval(repr(value)), value)


def test_addresses_are_made_once() -> None:
    encoded = encode((ip_address("1.2.3.4"), ip_network("1.2.3.0/24")))
    assert decode(encoded)[0] is decode(encoded)[0]
