#!/usr/bin/env python3
"""A minimal peer of Zeek's Broker: one file, nothing but the standard library.

It was written from the documents in docs/protocol and shares no code with the rest of the project,
so that a mistake of one of the two shows when they talk to each other. README.md says how to run
it. In this order: values, their JSON form, messages, the peer, the command line.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import functools
import ipaddress
import json
import math
import os
import re
import select
import socket
import ssl
import struct
import sys
import time
import uuid
from collections import namedtuple
from enum import IntEnum

MAGIC, NIL = b"ZEEK", bytes(16)
CONTROL, INTERNAL = b"<$>", b"<$>/local/"  # topics
HOP_LIMIT, MAX_DEPTH = 16, 64
MAX_HANDSHAKE = 2 << 20  # for a frame with a large filter
MAX_FRAME = 64 << 20
HANDSHAKE_TIME, BYE_TIME = 10.0, 3.0
WRITE_TIME = 10.0  # for a peer that reads nothing
DONE, FAILED, TIMED_OUT, NO_TLS = 0, 1, 2, 77

# The types by their numbers on the wire, from 0 on.
Tag = IntEnum(
    "Tag",
    "NONE BOOLEAN COUNT INTEGER REAL STRING ADDRESS SUBNET PORT TIMESTAMP TIMESPAN ENUM_VALUE SET"
    " TABLE VECTOR",
    start=0,
)
STRINGS = (Tag.STRING, Tag.ENUM_VALUE)
FORMS = {Tag.NONE: "0s", Tag.BOOLEAN: ">?", Tag.COUNT: ">Q", Tag.INTEGER: ">q", Tag.ADDRESS: "16s"}
FORMS |= {Tag.SUBNET: "16sB", Tag.PORT: ">HB", Tag.TIMESTAMP: ">q", Tag.TIMESPAN: ">q"}
PROTOCOLS = ("?", "tcp", "udp", "icmp")

# A value: its type, and what Python has for it, which is bool, int (nanoseconds for times), float,
# bytes (strings, labels, the 16 of addresses, and none of them for none), (address, length) with
# the length on 128 bits, (number, protocol), a tuple of values, or for a table one of pairs.
Value = namedtuple("Value", "tag data")


class Malformed(ValueError):
    """Bytes or JSON that are no value or no message."""


class Reader:
    """Takes numbers, strings and values off the front of bytes."""

    def __init__(self, raw: bytes, at: int = 0):
        self.raw, self.at = raw, at

    def take(self, length: int) -> bytes:
        if length > len(self.raw) - self.at:
            raise Malformed(f"{length} bytes are needed, and fewer are left")
        self.at += length
        return self.raw[self.at - length : self.at]

    def numbers(self, form: str) -> tuple:
        """What struct makes of the next bytes."""
        return struct.unpack(form, self.take(struct.calcsize(form)))

    def size(self) -> int:
        """Seven bits in each byte, the lowest first; the highest bit says that more follow."""
        result = shift = 0
        while shift < 35:
            (byte,) = self.numbers("B")
            result |= (byte & 0x7F) << shift
            shift += 7 if byte >= 0x80 else 35
        if byte >= 0x80 or result >= 1 << 32:
            raise Malformed("a size of 2^32 or more, or in more than five bytes")
        return result

    def string(self) -> bytes:
        return self.take(self.size())

    def value(self, depth: int = 0) -> Value:
        """One value; depth is how many containers it is in."""
        (number,) = self.numbers("B")
        if number > Tag.VECTOR:
            raise Malformed(f"no type has the tag {number}")
        tag = Tag(number)
        if tag >= Tag.SET:
            data = tuple(self.items(tag, depth + 1))
        elif tag in FORMS:
            data = self.numbers(FORMS[tag])
            data = data[0] if len(data) == 1 else data
        else:
            data = self.string() if tag in STRINGS else decode_real(*self.numbers(">Q"))
        return checked(Value(tag, data))

    def items(self, tag: Tag, depth: int):
        """What is in a container."""
        if depth > MAX_DEPTH:
            raise Malformed(f"more than {MAX_DEPTH} containers inside each other")
        for _ in range(self.size()):  # each takes a byte at least, or there is an error
            item = self.value(depth)
            yield (item, self.value(depth)) if tag == Tag.TABLE else item


def decode(raw: bytes) -> Value:
    """A payload of a data message: exactly one value."""
    reader = Reader(raw)
    value = reader.value()
    if reader.at < len(raw):
        raise Malformed("there are bytes behind the value")
    return value


def encode(value: Value) -> bytes:
    """The canonical form: sets and tables in ascending order."""
    tag, data = value
    if tag >= Tag.SET:
        body = encode_size(len(data)) + b"".join(map(encode, flat(value)))
    elif tag in FORMS:
        body = struct.pack(FORMS[tag], *(data if isinstance(data, tuple) else (data,)))
    else:
        body = encode_string(data) if tag in STRINGS else encode_real(data)
    return bytes([tag]) + body


def encode_size(number: int) -> bytes:
    if number < 0x80:
        return bytes([number])
    return bytes([number & 0x7F | 0x80]) + encode_size(number >> 7)


def encode_string(raw: bytes) -> bytes:
    return encode_size(len(raw)) + raw


def decode_real(bits: int) -> float:
    """All patterns have a meaning, but not all have that of IEEE 754."""
    sign = -1.0 if bits >> 63 else 1.0
    exponent, fraction = bits >> 52 & 0x7FF, bits & (1 << 52) - 1
    if bits == (1 << 64) - 1:
        return math.nan
    if fraction == 0 and exponent in (0, 0x7FF):
        return math.copysign(0.0, sign) if exponent == 0 else -sign * math.inf
    try:
        return sign * math.ldexp(1.0 + fraction / (1 << 52), exponent - 1023)
    except OverflowError:
        return sign * math.inf


def encode_real(real: float) -> bytes:
    (bits,) = struct.unpack(">Q", struct.pack(">d", -real if math.isinf(real) else real))
    if math.isnan(real):
        bits = (1 << 64) - 1
    elif bits >> 52 & 0x7FF == 0:  # zero, or subnormal: (1 + fraction) * 2^-1023, or nothing
        fraction = (bits & (1 << 52) - 1) * 2 - (1 << 52)
        bits = bits >> 63 << 63 | max(fraction, 0)
    return struct.pack(">Q", bits)


def is_ipv4(address: bytes) -> bool:
    return address[:12] == bytes(10) + b"\xff\xff"


def compare(a: Value, b: Value) -> int:
    """Below, equal or above zero in the order of values; NaN is equal to every real."""
    if a.tag != b.tag:
        return a.tag - b.tag
    if a.tag < Tag.SET:
        return (a.data > b.data) - (a.data < b.data)
    x, y = flat(a), flat(b)
    differences = (compare(left, right) for left, right in zip(x, y))
    return next((difference for difference in differences if difference), len(x) - len(y))


def flat(value: Value) -> list:
    """The elements of a container in their order; keys and values of a table in turn."""
    key = functools.cmp_to_key(compare)
    if value.tag == Tag.TABLE:
        pairs = sorted(value.data, key=lambda pair: key(pair[0]))
        return [item for pair in pairs for item in pair]
    return sorted(value.data, key=key) if value.tag == Tag.SET else list(value.data)


def checked(value: Value) -> Value:
    """Refuses what no value can be, although its bytes could be read."""
    tag, data = value
    if tag in (Tag.SET, Tag.TABLE):
        keys = flat(value)[:: 2 if tag == Tag.TABLE else 1]
        if any(compare(a, b) == 0 for a, b in zip(keys, keys[1:])):
            raise Malformed("an element of a set, or a key of a table, is there twice")
    elif tag == Tag.PORT and data[1] >= len(PROTOCOLS):
        raise Malformed(f"no protocol has the number {data[1]}")
    elif tag == Tag.SUBNET and (data[1] > 128 or data[1] < 96 and is_ipv4(data[0])):
        raise Malformed(f"a subnet cannot have a prefix of {data[1]} bits")
    return value


NAMES = {tag: tag.name.lower().replace("_", "-") for tag in Tag}
TAGS = {name: tag for tag, name in NAMES.items()}
UNITS = {"ns": 1, "us": 10**3, "ms": 10**6, "s": 10**9, "min": 60 * 10**9, "h": 3600 * 10**9}
EPOCH, SECOND = datetime.datetime(1970, 1, 1), datetime.timedelta(seconds=1)


def readable(raw: bytes) -> str:
    return raw.decode(errors="replace")


def masked(address: bytes, length: int) -> bytes:
    mask = (1 << 128) - (1 << (128 - length))
    return (int.from_bytes(address, "big") & mask).to_bytes(16, "big")


def to_text(tag: Tag, data: object) -> str:
    """A value as a string, for those types whose JSON form is one."""
    if tag == Tag.ADDRESS:
        return str(ipaddress.ip_address(data[12:] if is_ipv4(data) else data))
    if tag == Tag.SUBNET:
        return f"{to_text(Tag.ADDRESS, data[0])}/{data[1] - 96 * is_ipv4(data[0])}"
    if tag == Tag.PORT:
        return f"{data[0]}/{PROTOCOLS[data[1]]}"
    if tag == Tag.TIMESTAMP:
        digits = re.sub("(000){1,2}$", "", f"{data % 10**9:09}")
        return f"{(EPOCH + data // 10**9 * SECOND).isoformat()}.{digits}"
    if tag == Tag.TIMESPAN:
        unit = next(unit for unit in ("s", "ms", "ns") if data % UNITS[unit] == 0)
        return f"{data // UNITS[unit]}{unit}"
    return readable(data) if tag in STRINGS else str(data)


def to_json(value: Value) -> dict:
    """The object with @data-type and data; data-hex has what the text alone does not say."""
    tag, data = value
    result = {"@data-type": NAMES[tag], "data": {} if tag == Tag.NONE else data}
    if tag >= Tag.SET:
        items = list(map(to_json, flat(value)))
        pairs = zip(items[::2], items[1::2])
        table = [{"key": key, "value": item} for key, item in pairs]
        result["data"] = table if tag == Tag.TABLE else items
    elif tag >= Tag.STRING or tag == Tag.REAL and not math.isfinite(data):
        text = result["data"] = to_text(tag, data)
        if tag in STRINGS and text.encode() != data:
            result["data-hex"] = data.hex()
        if tag == Tag.SUBNET and masked(*data) != data[0]:
            result["data-hex"] = encode(value)[1:].hex()
    return result


def from_json(source: dict) -> Value:
    """The value of an object that to_json has written, or somebody with the same care."""
    if not isinstance(source, dict) or source.get("@data-type") not in TAGS:
        raise Malformed(f"an object with a known @data-type is needed: {json.dumps(source)[:80]}")
    tag, data = TAGS[source["@data-type"]], source.get("data")
    if "data-hex" in source:
        data = bytes.fromhex(source["data-hex"])
        data = Reader(data).numbers("16sB") if tag == Tag.SUBNET else data
    elif tag == Tag.TABLE:
        data = tuple((from_json(pair["key"]), from_json(pair["value"])) for pair in data)
    elif tag in (Tag.SET, Tag.VECTOR):
        data = tuple(map(from_json, data))
    elif tag == Tag.NONE:
        data = b""
    elif isinstance(data, str):
        data = from_text(tag, data)
    return checked(Value(tag, data))


def from_text(tag: Tag, text: str) -> object:
    if tag in STRINGS:
        return text.encode(errors="surrogatepass")
    if tag == Tag.REAL:
        return float(text)
    if tag == Tag.ADDRESS:
        address = ipaddress.ip_address(text)
        return (bytes(10) + b"\xff\xff" if address.version == 4 else b"") + address.packed
    if tag == Tag.SUBNET:
        text, _, length = text.partition("/")
        address = from_text(Tag.ADDRESS, text)
        _, length = checked(Value(tag, (address, int(length) + 96 * is_ipv4(address)))).data
        return masked(address, length), length
    if tag == Tag.PORT:
        number, _, protocol = text.partition("/")
        return int(number), PROTOCOLS.index(protocol)
    if tag == Tag.TIMESTAMP:
        date, _, fraction = text.removesuffix("Z").partition(".")
        seconds = (datetime.datetime.fromisoformat(date) - EPOCH) // SECOND
        return seconds * 10**9 + int(fraction.ljust(9, "0"))
    if tag == Tag.TIMESPAN:
        unit = text.lstrip("+-0123456789")
        return int(text.removesuffix(unit)) * UNITS[unit]
    raise Malformed(f"a string cannot be a {NAMES[tag]}: {text}")


# All messages by their numbers, from 1 on: five between peers, seven of the handshake.
Kind = IntEnum(
    "Kind",
    "DATA COMMAND ROUTING_UPDATE PING PONG HELLO PROBE VERSION_SELECT DROP_CONN ORIGINATOR_SYN"
    " RESPONDER_SYN_ACK ORIGINATOR_ACK",
)
# Magic number, sender, and versions or code; those behind them are for version 1 only.
LAYOUTS = {Kind.HELLO: "4s16sBB", Kind.PROBE: "4s"}
LAYOUTS |= {Kind.VERSION_SELECT: "4s16sB", Kind.DROP_CONN: "4s16sB"}


class Closed(Exception):
    """A reason to close: a text, and the code of a drop_conn if one is to say so."""


# A message between peers; all of it is bytes, but for kind and hops, the hop limit.
Envelope = namedtuple("Envelope", "sender receiver kind hops topic payload")


def encode_envelope(envelope: Envelope) -> bytes:
    sender, receiver, kind, hops, topic, payload = envelope
    return sender + receiver + struct.pack(">BHH", kind, hops, len(topic)) + topic + payload


def decode_envelope(frame: bytes) -> Envelope:
    reader = Reader(frame)
    sender, receiver, kind, hops, length = reader.numbers(">16s16sBHH")
    if not Kind.DATA <= kind <= Kind.PONG:
        raise Malformed(f"no message between peers has the number {kind}")
    topic = reader.take(length)
    return Envelope(sender, receiver, Kind(kind), hops, topic, frame[reader.at :])


def encode_filter(entries: list) -> bytes:
    return encode_size(len(entries)) + b"".join(map(encode_string, entries))


def decode_update(payload: bytes) -> list:
    """The filter in a routing update: entries up to the end, whatever their number says."""
    reader, entries = Reader(payload), []
    if payload:
        reader.size()
    while reader.at < len(payload):
        entries.append(reader.string())
    return entries


def encode_handshake(kind: Kind, sender: bytes, *rest) -> bytes:
    """A payload of the handshake; rest: versions, or code and text, or the filter."""
    head = bytes([kind]) + (MAGIC if kind in LAYOUTS else b"")
    if kind in (Kind.HELLO, Kind.VERSION_SELECT):
        return head + sender + bytes(rest)
    if kind == Kind.DROP_CONN:
        return head + sender + bytes(rest[:1]) + encode_string(rest[1].encode())
    return head + b"".join(map(encode_filter, rest))


def decode_handshake(frame: bytes) -> tuple:
    """The kind and its fields behind the magic number."""
    if not Kind.HELLO <= frame[0] <= Kind.ORIGINATOR_ACK:
        raise Closed("invalid message type tag", 20)
    kind, reader, magic, fields = Kind(frame[0]), Reader(frame, 1), MAGIC, []
    try:
        if kind in LAYOUTS:
            magic, *fields = reader.numbers(LAYOUTS[kind])
        if kind == Kind.DROP_CONN:
            fields.append(readable(reader.string()))
        if kind in (Kind.ORIGINATOR_SYN, Kind.RESPONDER_SYN_ACK):
            fields = [[reader.string() for _ in range(reader.size())]]
    except Malformed:
        name = kind.name.lower() if kind in LAYOUTS else f"v1::{kind.name.lower()}"
        raise Closed(f"failed to parse {name}_msg", 20) from None
    if magic != MAGIC:
        raise Closed("wrong magic number", 38)
    if kind == Kind.HELLO and not fields[1] <= 1 <= fields[2]:
        raise Closed("unsupported versions offered", 2)
    if kind == Kind.VERSION_SELECT and fields[1] != 1:
        raise Closed("unsupported version selected", 2)
    if kind == Kind.DROP_CONN and fields[1] > 40:
        raise Closed(fields[2], 1)
    return kind, fields


class Peer:
    """One connection: its handshake, what is said between peers, and lines on standard output.

    The states are those of docs/protocol/handshake.md, and "peer". There is no state P, no
    redundant connection and nobody to pass messages on to: there is never a second connection.
    """

    def __init__(self, options: argparse.Namespace, sock: socket.socket):
        self.options, self.sock = options, sock
        self.mine = options.id.bytes
        self.filter = [topic.encode() for topic in options.topic]
        self.state = "C0" if options.role == "connect" else "S0"
        self.buffer = bytearray()
        self.id = None
        self.wanted = []  # the filter of the other side
        self.to_publish = list(options.publish)
        self.received = self.asked = 0  # messages, and pings so far
        self.pings = {}  # those without an answer: payloads, and when they were sent
        self.bye = None  # the payload of its ping, once that was sent
        self.until = math.inf  # when its answer has to be there
        self.orders, self.typed = [], b""  # standard input while it is open; half a line of it
        self.leave = self.ended = False

    def send(self, payload: bytes) -> None:
        """One frame; over TLS it has records of its own, as the originator_ack needs."""
        frame = struct.pack(">I", len(payload)) + payload
        step = self.options.chunk or len(frame)
        self.sock.settimeout(WRITE_TIME)
        try:
            for start in range(0, len(frame), step):
                self.sock.sendall(frame[start : start + step])
        except (ConnectionError, ssl.SSLEOFError):
            return  # the other side has closed, as receive will say

    def receive(self, until: float) -> bytes | None:
        """One frame, however it was cut, or b"" after orders; None at the end of the connection."""
        while True:
            length = int.from_bytes(self.buffer[:4], "big") if len(self.buffer) >= 4 else 0
            if length > (MAX_FRAME if self.state == "peer" else MAX_HANDSHAKE):
                raise Closed(f"a frame of {length} bytes is too long in state {self.state}")
            if len(self.buffer) >= 4 + length:
                frame = bytes(self.buffer[4 : 4 + length])
                del self.buffer[: 4 + length]
                return frame
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            if not getattr(self.sock, "pending", int)():  # what TLS has decrypted already
                ready, _, _ = select.select([self.sock, *self.orders], [], [], left)
                if 0 in ready:
                    self.read_orders()
                    return b""
                if not ready:
                    continue
            self.sock.settimeout(left)
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionResetError:  # it has closed without reading everything
                data = b""
            if not data and self.buffer:
                raise Closed("the connection has ended inside of a frame")
            if not data:
                return None
            self.buffer += data

    def say(self, kind: Kind, *fields) -> None:
        self.send(encode_handshake(kind, self.mine, *fields))

    def control(self, kind: Kind, payload: bytes) -> None:
        """A routing update, ping or pong."""
        self.send(encode_envelope(Envelope(self.mine, self.id, kind, HOP_LIMIT, CONTROL, payload)))

    def shake_hands(self, until: float) -> None:
        """Returns when the two are peers."""
        until = min(until, time.monotonic() + HANDSHAKE_TIME)
        if self.state == "C0":
            self.say(Kind.HELLO, 1, 1)
        else:
            self.say(Kind.PROBE)
        try:
            while self.state != "peer":
                frame = self.receive(until)
                if not frame:
                    what = "an empty frame" if frame == b"" else "the end"
                    raise Closed(f"{what} in state {self.state} of the handshake")
                self.step(*decode_handshake(frame))
        except Closed as error:
            text, *code = error.args
            if code:
                self.say(Kind.DROP_CONN, *code, text)
            raise
        how = {"tls": self.options.tls, "dialled": self.options.role == "connect"}
        wanted = list(map(readable, self.wanted))
        show("peered", peer=name(self.id), filter=wanted, leads=self.mine < self.id, **how)

    def step(self, kind: Kind, fields: list) -> None:
        """What a message does; decode_handshake has refused what is wrong in each state."""
        state = self.state
        if kind in (Kind.HELLO, Kind.VERSION_SELECT):
            self.id = fields[0]
            if self.id in (NIL, self.mine):
                raise Closed("the other side has no id of its own")
        if kind == Kind.HELLO and state in ("C0", "S0"):
            if self.mine < self.id:
                self.say(Kind.VERSION_SELECT, 1)
                self.say(Kind.ORIGINATOR_SYN, self.filter)
                self.state = "O1"
            else:
                self.say(Kind.HELLO, 1, 1)
                self.state = "R1"
        elif kind == Kind.VERSION_SELECT and state in ("C0", "R1"):
            self.state = "R2"
        elif kind == Kind.ORIGINATOR_SYN and state == "R2":
            self.wanted = fields[0]
            self.say(Kind.RESPONDER_SYN_ACK, self.filter)
            self.state = "R3"
        elif kind == Kind.RESPONDER_SYN_ACK and state == "O1":
            self.wanted = fields[0]
            self.say(Kind.ORIGINATOR_ACK)
            self.state = "peer"
        elif kind == Kind.ORIGINATOR_ACK and state == "R3":
            self.state = "peer"
        elif kind == Kind.DROP_CONN:
            raise Closed(f"the other side refuses: {fields[2]} (code {fields[1]})")
        elif kind != Kind.PROBE or state not in ("C0", "S0", "R1"):
            raise Closed(f"{kind.name.lower()} does not fit into state {state}")

    def deliver(self, frame: bytes) -> None:
        """One frame of the peer; what is wrong is dropped, and the connection stays."""
        try:
            envelope = decode_envelope(frame)
            sender, receiver, kind, _, topic, payload = envelope
            if sender != self.id:
                raise Malformed("the sender is not the peer")
            if topic.startswith(INTERNAL):
                raise Malformed("the topic is internal to endpoints")
            if receiver not in (NIL, self.mine):
                return  # there is nobody to pass it on to
            if kind == Kind.DATA and topic.startswith(tuple(self.filter)):
                self.message(envelope, decode(payload))
            elif kind == Kind.ROUTING_UPDATE:
                self.wanted = decode_update(payload)
                show("filter", peer=name(self.id), filter=list(map(readable, self.wanted)))
        except Malformed as error:
            show("dropped", reason=str(error), frame=frame[:256].hex())
            return
        if kind == Kind.PING:  # a bye is one, too, and its payload only says what to show
            self.control(Kind.PONG, payload)
            show("bye" if payload.startswith(b"BYE") else "ping", peer=name(self.id))
        elif kind == Kind.PONG and payload == self.bye:
            self.ended = True
        elif kind == Kind.PONG and payload in self.pings:
            show("pong", seconds=round(time.monotonic() - self.pings.pop(payload), 6))

    def message(self, envelope: Envelope, value: Value) -> None:
        """Shows a message, unless there were enough already."""
        sender, receiver, _, hops, topic, payload = envelope
        if self.received == self.options.count > 0:
            return
        self.received += 1
        exact = {} if readable(topic).encode() == topic else {"topic-hex": topic.hex()}
        ids = {"sender": name(sender), "receiver": None if receiver == NIL else name(receiver)}
        data = {"data": to_json(value), "payload": payload.hex()}
        show("message", topic=readable(topic), **exact, **data, **ids, ttl=hops)

    def read_orders(self) -> None:
        """Does what the lines of standard input say."""
        data = os.read(0, 1 << 16)
        *lines, self.typed = (self.typed + data).split(b"\n")
        if not data:
            self.orders = []
        for line in filter(bytes.strip, lines):
            try:
                self.order(**json.loads(line))
            except (LookupError, TypeError, ValueError, AttributeError, struct.error) as error:
                raise Closed(f"this is no order: {readable(line)[:80]}: {error}") from None

    def order(self, do: str, topics=(), topic: str = "", data=None, receiver=None) -> None:
        topics = [topic.encode() for topic in topics]
        if do == "publish":
            self.to_publish.append(to_publish(topic, data, receiver))
        elif do == "ping":
            self.ping()
        elif do == "bye":
            self.leave = True
        elif do in ("subscribe", "unsubscribe"):
            self.filter = [entry for entry in self.filter if entry not in topics]
            self.filter += topics if do == "subscribe" else []
            self.control(Kind.ROUTING_UPDATE, encode_filter(self.filter))
        else:
            raise ValueError(do)

    def ping(self) -> None:
        self.asked += 1
        payload = b"PING%d" % self.asked
        self.pings[payload] = time.monotonic()
        self.control(Kind.PING, payload)

    def act(self) -> None:
        """Does what can be done now: publish what is wanted, ping, say goodbye."""
        for message in list(self.to_publish):
            topic, payload, receiver = message
            if receiver != NIL or topic.startswith(tuple(self.wanted)):
                hops = self.options.ttl
                self.send(encode_envelope(Envelope(self.mine, receiver, 1, hops, topic, payload)))
                self.to_publish.remove(message)
                show("published", topic=readable(topic))
        if self.options.ping and not self.asked:
            self.ping()
        enough = self.is_done() and (self.options.count or not self.orders)
        if (enough or self.leave) and not self.bye:
            self.bye, self.until = b"BYE" + os.urandom(8), time.monotonic() + BYE_TIME
            self.control(Kind.PING, self.bye)

    def is_done(self) -> bool:
        """Whether all is done that was asked for."""
        return not self.to_publish and not self.pings and self.received >= self.options.count

    def run(self, until: float) -> tuple:
        """Exit code and a reason, when the two have been peers."""
        while not self.ended:
            self.act()
            try:
                frame = self.receive(min(self.until, until))
            except TimeoutError:
                return TIMED_OUT, "no answer to the bye" if self.bye else "it takes too long"
            if frame is None and not self.bye and not self.is_done():
                return FAILED, "the peer has ended it early"
            if frame:
                self.deliver(frame)
            self.ended = self.ended or frame is None
        return DONE, ""


def show(event: str, **members) -> None:
    print(json.dumps({"event": event} | members), flush=True)


def name(raw: bytes) -> str:
    return str(uuid.UUID(bytes=raw))


def tls_context(server: bool) -> ssl.SSLContext:
    """Anonymous TLS."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("AECDH-AES256-SHA:@SECLEVEL=0")
        context.set_ecdh_curve("secp384r1")
    except (ssl.SSLError, ValueError) as error:
        print(f"{ssl.OPENSSL_VERSION} cannot do anonymous TLS: {error}", file=sys.stderr)
        sys.exit(NO_TLS)
    return context


def open_connection(options: argparse.Namespace, until: float) -> socket.socket:
    """Dials or accepts, with TLS if it is on; an acceptor waits until TLS works with somebody."""
    server = options.role == "listen"
    context = tls_context(server) if options.tls else None
    if server:
        listener = socket.create_server(options.address)
        show("listening", address="{}:{}".format(*listener.getsockname()))
    while True:
        if server:
            listener.settimeout(max(until - time.monotonic(), 1e-6))
            sock, _ = listener.accept()
            sock.settimeout(HANDSHAKE_TIME)
        else:
            sock = socket.create_connection(options.address, HANDSHAKE_TIME)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            return context.wrap_socket(sock, server_side=server) if context else sock
        except OSError:
            sock.close()
            if not server:
                raise


def main(options: argparse.Namespace) -> int:
    """The exit code; a reason is said on standard error as well."""
    until = time.monotonic() + options.timeout
    try:
        sock = open_connection(options, until)
        with sock:
            peer = Peer(options, sock)
            peer.shake_hands(until)
            peer.orders = [0]
            code, reason = peer.run(until)
            sock.settimeout(0)
            with contextlib.suppress(OSError):  # the other side may be gone, and need not answer
                if options.tls:
                    sock.unwrap()  # which sends close_notify
    except TimeoutError:
        code, reason = TIMED_OUT, "nobody connects or shakes hands, or the peer reads nothing"
    except Closed as error:
        code, reason = FAILED, error.args[0]
    except OSError as error:
        code, reason = FAILED, str(error)
    if reason:
        print(reason, file=sys.stderr)
        show("error", reason=reason)
    show("closed")
    return code


def host_and_port(argument: str) -> tuple:
    host, _, port = argument.rpartition(":")
    if not host or not 0 <= int(port) < 1 << 16:
        raise ValueError(argument)
    return host, int(port)


def to_publish(topic: str, data: dict, receiver: str | None) -> tuple:
    """Topic, payload and receiver, as they are sent."""
    if len(topic.encode()) > 65535:
        raise Malformed("the topic is too long")
    to = uuid.UUID(receiver).bytes if receiver else NIL
    return topic.encode(), encode(from_json(data)), to


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="A minimal peer of Zeek's Broker. Standard output has a line of JSON for each "
        "event, standard input takes orders: README.md says which.",
        epilog="Exit codes: 0 done, 1 protocol error or early end, 2 time-out or usage, 77 no "
        "anonymous TLS.",
    )
    add = parser.add_argument
    add("role", choices=("listen", "connect"))
    add("address", metavar="HOST:PORT", type=host_and_port)
    add("--tls", action="store_true", help="anonymous TLS")
    add("--id", metavar="UUID", type=uuid.UUID, default=uuid.uuid4(), help="the own id")
    add("--topic", metavar="T", action="append", default=[], help="subscribe to this prefix")
    pair = {"nargs": 2, "metavar": ("TOPIC", "JSON")}
    add("--publish", action="append", default=[], help="as soon as the peer wants it", **pair)
    add("--receiver", metavar="UUID", help="publish for this endpoint only, wanted or not")
    add("--count", metavar="N", type=int, default=0, help="end when N messages have come")
    add("--ttl", metavar="N", type=int, default=HOP_LIMIT, help="hop limit of messages")
    add("--ping", action="store_true", help="send a ping once peered")
    add("--chunk", metavar="N", type=int, default=0, help="send pieces of N bytes")
    add("--timeout", metavar="S", type=float, default=10.0, help="for everything")
    options = parser.parse_args()
    if options.id.bytes == NIL or not 0 <= options.ttl < 1 << 16:
        parser.error("the id must not be nil, and the hop limit is from 0 to 65535")
    try:
        parsed = [(topic, json.loads(source)) for topic, source in options.publish]
        options.publish = [to_publish(*pair, options.receiver) for pair in parsed]
    except (LookupError, TypeError, ValueError, AttributeError, struct.error) as error:
        parser.error(f"--publish: {error}")
    return options


if __name__ == "__main__":
    sys.exit(main(arguments()))
