"""Tests of peer.py: round trips, and the dumps of docs/protocol. Run: python3 -m unittest"""

import argparse
import json
import math
import pathlib
import re
import socket
import struct
import threading
import time
import unittest
import unittest.mock
import uuid

import peer
from peer import Kind, Tag, Value

DOCS = pathlib.Path(__file__).resolve().parent.parent / "docs" / "protocol"
A = uuid.UUID("11111111-1111-4111-8111-111111111111")
B = uuid.UUID("eeeeeeee-eeee-4eee-8eee-eeeeeeeeeeee")


def blocks(language: str, *kinds: str) -> list:
    """Code blocks of the documents: (page and line, what stands behind the kind, lines)."""
    found = []
    # The peer speaks version 1.
    for page in sorted(set(DOCS.glob("*.md")) - {DOCS / "version-2.md"}):
        text = page.read_text(encoding="utf-8")
        for match in re.finditer(r"^```(\w+) ([\w-]+) ?(.*)\n((?s:.*?))^```$", text, re.MULTILINE):
            if match[1] == language and match[2] in kinds:
                where = f"{page.name}:{text[: match.start()].count(chr(10)) + 1}"
                found.append((where, match[3], match[4].splitlines()))
    return found


def dumps(*kinds: str) -> list:
    """Hex dumps: (page and line, what stands behind the kind, bytes)."""
    return [
        (where, rest, bytes.fromhex("".join(line.split("#")[0] for line in lines)))
        for where, rest, lines in blocks("hex", *kinds)
    ]


def text(value: Value) -> str:
    """The text form of docs/protocol/values.md."""
    tag, data = value
    items = [text(item) for item in peer.flat(value)] if tag >= Tag.SET else []
    if tag == Tag.NONE:
        return "nil"
    if tag == Tag.BOOLEAN:
        return "T" if data else "F"
    if tag == Tag.REAL:
        return f"{data:.6f}"
    if tag in peer.STRINGS:
        return data.decode()
    if tag in (Tag.TIMESTAMP, Tag.TIMESPAN):
        return f"{data}ns"
    if tag == Tag.TABLE:
        return "{" + ", ".join(map(" -> ".join, zip(items[::2], items[1::2]))) + "}"
    if tag == Tag.SET:
        return "{" + ", ".join(items) + "}"
    if tag == Tag.VECTOR:
        return "(" + ", ".join(items) + ")"
    return str(peer.to_json(value)["data"])


def samples() -> list:
    """Values of each type, with those at the ends of their ranges."""
    four, six = bytes(10) + b"\xff\xff\xc0\xa8\x09\x08", b"\x20\x01\x0d\xb8" + bytes(11) + b"\x01"
    data = {
        Tag.NONE: [b""],
        Tag.BOOLEAN: [False, True],
        Tag.COUNT: [0, 1, 2**64 - 1],
        Tag.INTEGER: [-(2**63), -1, 0, 2**63 - 1],
        Tag.REAL: [0.0, -0.0, 12.48, 1e300, 2.0**-1022, 1.5 * 2.0**-1023, math.inf, -math.inf],
        Tag.STRING: [b"", b"foo", b"\x00\xff", "ä\U0001f600".encode(), b"x" * 200],
        Tag.ADDRESS: [four, six, bytes(16), bytes(10) + b"\xff\xff" + bytes(4), b"\xff" * 16],
        Tag.SUBNET: [(four, 120), (four, 128), (bytes(16), 0), (six, 32), (six, 128)],
        Tag.PORT: [(0, 0), (8080, 1), (53, 2), (65535, 3)],
        Tag.TIMESTAMP: [-(2**63), -1, 0, 1404901004000000000, 10**6, 10**3, 2**63 - 1],
        Tag.TIMESPAN: [-(2**63), -1, 0, 1500000000, 10**3, 10**9, 2**63 - 1],
        Tag.ENUM_VALUE: [b"", b"Conn::LOG", b"\xff"],
    }
    scalars = [Value(tag, one) for tag, several in data.items() for one in several]
    different = tuple(value for value in scalars if value.data != 0.0 or value.tag != Tag.REAL)
    containers = [
        Value(Tag.SET, ()),
        Value(Tag.TABLE, ()),
        Value(Tag.VECTOR, ()),
        Value(Tag.SET, tuple(peer.flat(Value(Tag.SET, different)))),
        Value(Tag.VECTOR, tuple(scalars)),
    ]
    keys = peer.flat(Value(Tag.SET, (*different, *containers)))
    return scalars + containers + [Value(Tag.TABLE, tuple((key, key) for key in keys))]


class Values(unittest.TestCase):
    def test_round_trips(self):
        for value in samples():
            with self.subTest(value=repr(value)[:80]):
                raw = peer.encode(value)
                self.assertEqual(peer.decode(raw), value)
                source = json.loads(json.dumps(peer.to_json(value)))
                self.assertEqual(peer.encode(peer.from_json(source)), raw)
                for end in range(len(raw)) if len(raw) < 1000 else ():
                    self.assertRaises(peer.Malformed, peer.decode, raw[:end])

    def test_reals(self):
        for pattern, real in [
            ("7ff8000000000000", math.inf),
            ("fff8000000000000", -math.inf),
            ("7ff0000000000001", math.inf),
            ("0000000000000001", 2.0**-1023),
            ("8008000000000000", -1.5 * 2.0**-1023),
        ]:
            self.assertEqual(peer.decode(b"\x04" + bytes.fromhex(pattern)).data, real)
        self.assertTrue(math.isnan(peer.decode(b"\x04" + b"\xff" * 8).data))
        self.assertEqual(peer.encode(Value(Tag.REAL, math.nan)), b"\x04" + b"\xff" * 8)
        for real, first in [(5e-324, 0), (-5e-324, 0x80), (2.0**-1023, 0), (-(2.0**-1023), 0x80)]:
            self.assertEqual(peer.encode(Value(Tag.REAL, real)), bytes([4, first]) + bytes(7))

    def test_sets_with_nan(self):
        nan, one, two = (Value(Tag.REAL, math.nan), *(Value(Tag.COUNT, x) for x in (1, 2)))
        pairs = Value(Tag.SET, (Value(Tag.VECTOR, (nan, one)), Value(Tag.VECTOR, (nan, two))))
        self.assertEqual(len(peer.decode(peer.encode(pairs)).data), 2)
        both = Value(Tag.SET, (nan, Value(Tag.REAL, 1.0)))
        self.assertRaises(peer.Malformed, peer.decode, peer.encode(both))

    def test_depth(self):
        self.assertEqual(len(peer.encode(peer.decode(b"\x0e\x01" * 63 + b"\x0e\x00"))), 128)
        self.assertRaises(peer.Malformed, peer.decode, b"\x0e\x01" * 64 + b"\x0e\x00")

    def test_what_json_is_refused(self):
        for source in [
            '{"@data-type":"count","data":-1}',
            '{"@data-type":"count","data":5.0}',
            '{"@data-type":"integer","data":9223372036854775808}',
            '{"@data-type":"subnet","data":"10.0.0.0/33"}',
            '{"@data-type":"subnet","data":"::ffff:10.0.0.0/104"}',
            '{"@data-type":"port","data":"70000/tcp"}',
            '{"@data-type":"timestamp","data":"2014-07-09T24:00:00"}',
            '{"@data-type":"timespan","data":"9223372036854775808ns"}',
            '{"@data-type":"set","data":[{"@data-type":"none"},{"@data-type":"none"}]}',
            '{"@data-type":"table","data":[{"key":{"@data-type":"none"}}]}',
            '{"@data-type":"nothing"}',
        ]:
            with self.subTest(source=source):
                with self.assertRaises((ValueError, LookupError, struct.error)):
                    peer.encode(peer.from_json(json.loads(source)))


class Documents(unittest.TestCase):
    def test_values(self):
        found = dumps("value", "zeek-message")
        self.assertGreater(len(found), 25)
        for where, caption, raw in found:
            with self.subTest(where):
                value = peer.decode(raw)
                self.assertEqual(peer.encode(value), raw)
                start = caption.removesuffix("...")
                self.assertTrue(text(value).startswith(start), text(value))
                self.assertTrue(start != caption or not caption or text(value) == caption)

    def test_accepted_and_refused_values(self):
        for where, _, raw in dumps("accepted-value"):
            with self.subTest(where):
                value = peer.decode(raw)
                self.assertNotEqual(peer.encode(value), raw)
                self.assertEqual(peer.compare(peer.decode(peer.encode(value)), value), 0)
        refused = dumps("refused-value")
        self.assertGreater(len(refused), 7)
        for where, _, raw in refused:
            with self.subTest(where):
                self.assertRaises(peer.Malformed, peer.decode, raw)

    def test_sizes(self):
        ((_, numbers, raw),) = dumps("sizes")
        numbers = list(map(int, numbers.split()))
        reader = peer.Reader(raw)
        self.assertEqual([reader.size() for _ in numbers], numbers)
        self.assertEqual(b"".join(map(peer.encode_size, numbers)), raw)
        self.assertEqual(peer.Reader(b"\x80\x00").size(), 0)
        for raw in (b"\x80" * 5 + b"\x00", b"\xff\xff\xff\xff\x10"):
            self.assertRaises(peer.Malformed, peer.Reader(raw).size)

    def test_handshake(self):
        kinds = ("hello", "probe", "version-select", "drop-conn", "originator-syn")
        kinds += ("responder-syn-ack", "originator-ack")
        for where, _, raw in dumps(*kinds):
            with self.subTest(where):
                self.assertEqual(struct.unpack(">I", raw[:4])[0], len(raw) - 4)
                kind, fields = peer.decode_handshake(raw[4:])
                sender = [] if len(fields) > 1 else [peer.NIL]
                self.assertEqual(peer.encode_handshake(kind, *sender, *fields), raw[4:])

    def test_envelopes(self):
        kinds = ("data-message", "command-message", "routing-update", "ping", "pong")
        found = dumps(*kinds)
        self.assertGreater(len(found), 7)
        for where, _, raw in found:
            with self.subTest(where):
                self.assertEqual(struct.unpack(">I", raw[:4])[0], len(raw) - 4)
                envelope = peer.decode_envelope(raw[4:])
                self.assertEqual(peer.encode_envelope(envelope), raw[4:])
                if envelope.kind == Kind.DATA:
                    self.assertEqual(peer.encode(peer.decode(envelope.payload)), envelope.payload)
                if envelope.kind == Kind.ROUTING_UPDATE:
                    entries = peer.decode_update(envelope.payload)
                    self.assertEqual(peer.encode_filter(entries), envelope.payload)

    def test_json(self):
        for where, _, lines in blocks("json", "value", "data-message"):
            for line in lines:
                with self.subTest(where, line=line[:60]):
                    source = json.loads(line)
                    shown = peer.to_json(peer.from_json(source))
                    source.pop("type", None)
                    source.pop("topic", None)
                    self.assertEqual(json.dumps(shown), json.dumps(source))


class Conversation(unittest.TestCase):
    """Two peers of this kind, with frames cut at every byte."""

    def talk(self, first: uuid.UUID, second: uuid.UUID, chunk: int):
        ends = socket.socketpair()
        payload = peer.encode(samples()[-1])
        defaults = {"topic": ["/t"], "publish": [], "count": 0, "ttl": 16, "ping": False}
        defaults |= {"tls": False, "chunk": chunk}
        asked = {"publish": [(b"/t/a", payload, peer.NIL)], "ping": True, "role": "connect"}
        sides = [asked | {"id": first}, {"count": 1, "role": "listen", "id": second}]
        shown, results = {first: [], second: []}, {}
        here = threading.local()

        def run(options, end):
            here.shown = shown[options["id"]]
            until = time.monotonic() + 10
            with end:
                one = peer.Peer(argparse.Namespace(**defaults | options), end)
                one.shake_hands(until)
                results[options["id"]] = one.run(until)

        def show(event, **members):
            here.shown.append(members | {"event": event})

        with unittest.mock.patch.object(peer, "show", show):
            threads = [threading.Thread(target=run, args=pair) for pair in zip(sides, ends)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        self.assertEqual(results, {first: (0, ""), second: (0, "")})
        self.assertEqual([x["leads"] for x in shown[first] if "leads" in x], [first < second])
        messages = [x for x in shown[second] if x["event"] == "message"]
        self.assertEqual([x["payload"] for x in messages], [payload.hex()])
        self.assertEqual(peer.encode(peer.from_json(messages[0]["data"])), payload)
        self.assertEqual([x["event"] for x in shown[first]].count("pong"), 1)

    def test_both_roles(self):
        self.talk(A, B, 0)
        self.talk(B, A, 0)

    def test_one_byte_at_a_time(self):
        self.talk(A, B, 1)
        self.talk(B, A, 1)


if __name__ == "__main__":
    unittest.main()
