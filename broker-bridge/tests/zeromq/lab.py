"""A ZeroMQ cluster as Zeek makes one, out of libzmq, driven by lines of JSON on standard input.

Each command is an object with a member "do"; each is answered by one line. Bytes are hexadecimal.
"""

import json
import os
import sys
import threading
import time

import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

PREFIX = b"zeek.cluster.nodeid."
FIRST = "Cluster::Backend::ZeroMQ::hello"
SECOND = "Cluster::hello"


def text(value):
    value = value.encode()
    return b"\x05" + bytes([len(value)]) + value


def event(name, *args):
    """An event with texts as arguments, in broker-bin-v1."""
    count = b"\x02\0\0\0\0\0\0\0\x01"
    arguments = b"\x0e" + bytes([len(args)]) + b"".join(text(arg) for arg in args)
    return b"\x0e\x03" + count + count + b"\x0e\x02" + text(name) + arguments


def texts(payload):
    """Name and arguments of such an event, or nothing."""
    head = event("x")[:22]
    if not payload.startswith(head[:20]) or payload[20:22] != b"\x0e\x02":
        return None
    found, at = [], 22
    while at < len(payload):
        if payload[at] == 0x0E:
            at += 2
        elif payload[at] == 0x05:
            length = payload[at + 1]
            found.append(payload[at + 2 : at + 2 + length].decode())
            at += 2 + length
        else:
            return None
    return found


class Forwarder:
    def __init__(self, sub=0, pub=0, nodrop=1, server=None, client=None):
        self.context = zmq.Context()
        self.auth = None
        if server:
            self.zap = threading.Thread(target=self.accept_only, args=(client[0].encode(),))
            self.handler = self.context.socket(zmq.REP)
            self.handler.bind("inproc://zeromq.zap.01")
            self.zap.start()
        self.out, self.inp = self.context.socket(zmq.XPUB), self.context.socket(zmq.XSUB)
        self.out.setsockopt(zmq.XPUB_VERBOSER, 1)
        self.out.setsockopt(zmq.XPUB_NODROP, nodrop)
        for socket in (self.out, self.inp):
            if server:
                socket.curve_server = True
                socket.curve_secretkey = server[1].encode()
                socket.zap_domain = b"global"
        self.sub = self.bind(self.out, sub)
        self.pub = self.bind(self.inp, pub)
        self.thread = threading.Thread(target=self.run)
        self.thread.start()

    def accept_only(self, key):
        """The authentication of Zeek: mechanism CURVE and one key for all nodes."""
        try:
            while True:
                parts = self.handler.recv_multipart()
                good = parts[5] == b"CURVE" and parts[6] == zmq.utils.z85.decode(key)
                status = [b"200", b"OK"] if good else [b"400", b"no"]
                self.handler.send_multipart([b"1.0", parts[1], *status, b"", b""])
        except zmq.ZMQError:
            self.handler.close(0)

    def bind(self, socket, port):
        for _ in range(200):
            try:
                socket.bind(f"tcp://127.0.0.1:{port or '*'}")
                return int(socket.getsockopt(zmq.LAST_ENDPOINT).decode().rsplit(":", 1)[1])
            except zmq.ZMQError:
                time.sleep(0.05)
        raise RuntimeError("no port")

    def run(self):
        try:
            zmq.proxy(self.inp, self.out)
        except zmq.ZMQError:
            pass
        self.out.close(0)
        self.inp.close(0)

    def stop(self):
        self.context.term()
        self.thread.join()


class Node:
    """The sockets of a node of Zeek, and the greetings among nodes if it has a name."""

    def __init__(self, context, sub, pub, name, id, prefixes=(), server=None, client=None):
        self.name, self.id = name, id
        self.xsub, self.xpub = context.socket(zmq.XSUB), context.socket(zmq.XPUB)
        self.xpub.setsockopt(zmq.XPUB_VERBOSE, 1)
        self.xpub.setsockopt(zmq.XPUB_NODROP, 1)
        self.monitor = self.xsub.get_monitor_socket()
        for socket in (self.xsub, self.xpub):
            if server:
                socket.curve_serverkey = server[0].encode()
                socket.curve_publickey = client[0].encode()
                socket.curve_secretkey = client[1].encode()
        self.xsub.connect(f"tcp://127.0.0.1:{sub}")
        self.xpub.connect(f"tcp://127.0.0.1:{pub}")
        self.lock = threading.Condition()
        self.seen, self.received, self.todo = [], [], []
        self.shown, self.known, self.half, self.greeted = set(), {}, set(), set()
        self.log, self.running, self.reading, self.count = [], True, True, 0
        own = [PREFIX + id.encode() + b"."] if name else []
        for prefix in [*own, *(p.encode() for p in prefixes)]:
            self.xsub.send(b"\x01" + prefix)
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        poller = zmq.Poller()
        poller.register(self.xsub, zmq.POLLIN)
        poller.register(self.xpub, zmq.POLLIN)
        while self.running:
            ready = dict(poller.poll(20))
            with self.lock:
                for what, parts in self.todo:
                    (self.xsub if what == "xsub" else self.xpub).send_multipart(parts)
                self.todo.clear()
                if self.xpub in ready:
                    for parts in self.all(self.xpub):
                        self.subscription(parts[0])
                if self.reading and self.xsub in ready:
                    for parts in self.all(self.xsub):
                        self.message(parts)
                self.lock.notify_all()
            if not self.reading:
                time.sleep(0.02)
        self.xsub.disable_monitor()
        self.xsub.close(0)
        self.xpub.close(0)

    def all(self, socket):
        try:
            for _ in range(1000):
                yield socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            pass

    def subscription(self, shown):
        self.seen.append(shown)
        topic = shown[1:]
        if not self.name or not topic.startswith(PREFIX):
            return
        peer = topic[len(PREFIX) : -1].decode()
        if peer == self.id:
            return
        if shown[0] == 0:
            self.shown.discard(peer)
            for name in [n for n, i in self.known.items() if i == peer]:
                del self.known[name]
                self.log.append(["down", name, peer])
        elif peer not in self.shown:
            self.shown.add(peer)
            self.hello(FIRST, peer)
            if peer in self.greeted:
                self.greeted.discard(peer)
                self.hello(SECOND, peer)
            else:
                self.half.add(peer)

    def hello(self, what, peer):
        topic = PREFIX + peer.encode() + b"."
        self.xpub.send_multipart(
            [topic, self.id.encode(), b"broker-bin-v1", event(what, self.name, self.id)]
        )

    def message(self, parts):
        self.count += 1
        if len(self.received) < 100000:
            self.received.append(parts)
        if not self.name or len(parts) != 4 or parts[1] == self.id.encode():
            return
        found = texts(parts[3])
        if not found or len(found) != 3 or found[0] not in (FIRST, SECOND):
            return
        what, name, peer = found
        before = self.known.get(name)
        if what == FIRST:
            if before == peer:
                self.log.append(["warning: known already", name, peer])
                return
            if before is not None:
                self.log.append(["down", name, before])
                del self.known[name]
            if peer in self.half:
                self.half.discard(peer)
                self.hello(SECOND, peer)
            else:
                self.greeted.add(peer)
        else:
            if before is None:
                self.log.append(["up", name, peer])
            self.known[name] = peer

    def send(self, what, parts):
        with self.lock:
            self.todo.append((what, parts))

    def wait(self, condition, limit):
        with self.lock:
            return self.lock.wait_for(condition, limit)

    def stop(self):
        self.running = False
        self.thread.join()


class Lab:
    def __init__(self):
        self.context = zmq.Context()
        self.nodes, self.pipes, self.forwarder = {}, {}, None

    def do_forwarder(self, **options):
        self.forwarder = Forwarder(**options)
        return {"sub": self.forwarder.sub, "pub": self.forwarder.pub}

    def do_stop(self):
        self.forwarder.stop()
        return {}

    def do_node(self, key, **options):
        self.nodes[key] = Node(self.context, **options)
        return {}

    def do_leave(self, key):
        self.nodes.pop(key).stop()
        return {}

    def do_publish(self, key, topic, payload, sender=None, serializer="broker-bin-v1", count=1, parts=4):
        node = self.nodes[key]
        sender = (sender or node.id).encode()
        message = [topic.encode(), sender, serializer.encode(), bytes.fromhex(payload)]
        message = message[:parts] + [b""] * (parts - 4)
        for _ in range(count):
            node.send("xpub", message)
        return {}

    def do_flood(self, key, topic, payload, count):
        """Publishes as fast as it goes, from a socket of its own, once somebody subscribes."""
        socket = self.context.socket(zmq.XPUB)
        socket.setsockopt(zmq.XPUB_NODROP, 1)
        socket.connect(f"tcp://127.0.0.1:{self.forwarder.pub}")
        wanted = topic.encode()
        while not (lambda s: s[0] == 1 and wanted.startswith(s[1:]))(socket.recv()):
            pass
        time.sleep(0.2)
        body = bytes.fromhex(payload)
        for _ in range(count):
            socket.send_multipart([wanted, b"flood", b"broker-bin-v1", body])
        socket.close(5000)
        return {}

    def do_shown(self, key, kind, topic, count=1, limit=10):
        """Waits until a subscription (1) or its end (0) has been shown so often."""
        node, wanted = self.nodes[key], bytes([kind]) + topic.encode()
        node.wait(lambda: node.seen.count(wanted) >= count, limit)
        return {"count": node.seen.count(wanted)}

    def do_shown_all(self, key):
        return {"seen": [shown.hex() for shown in self.nodes[key].seen]}

    def do_received(self, key, count=1, limit=10):
        """Waits for so many messages, returns and forgets them."""
        node = self.nodes[key]
        node.wait(lambda: len(node.received) >= count, limit)
        with node.lock:
            received, node.received = node.received, []
        return {"messages": [[part.hex() for part in parts] for parts in received]}

    def do_count(self, key, count, limit=60):
        node = self.nodes[key]
        node.wait(lambda: node.count >= count, limit)
        return {"count": node.count}

    def do_log(self, key, line, limit=10):
        """Waits for a line [what, name] in the log of a node."""
        node = self.nodes[key]
        found = node.wait(lambda: line in [entry[:2] for entry in node.log], limit)
        return {"found": found, "log": node.log}

    def do_hello(self, key, what, name, id, to):
        topic = PREFIX.decode() + to + "."
        return self.do_publish(key, topic, event(what, name, id).hex(), sender=id)

    def do_reading(self, key, reading):
        self.nodes[key].reading = reading
        return {}

    def do_events(self, key, limit=10):
        """What the monitor of the subscribing socket tells of failed handshakes."""
        monitor = self.nodes[key].monitor
        events, until = [], time.time() + limit
        while time.time() < until and not any(e in (0x2000, 0x4000) for e in events):
            if monitor.poll(100):
                events.append(recv_monitor_message(monitor)["event"])
        return {"events": events}

    def do_keys(self):
        pair = [key.decode() for key in zmq.curve_keypair()]
        return {"public": pair[0], "secret": pair[1]}

    def do_push(self, port, messages, server=None, client=None):
        """Hands log batches to a logger."""
        socket = self.context.socket(zmq.PUSH)
        if server:
            socket.curve_serverkey = server[0].encode()
            socket.curve_publickey = client[0].encode()
            socket.curve_secretkey = client[1].encode()
        monitor = socket.get_monitor_socket()
        socket.connect(f"tcp://127.0.0.1:{port}")
        for parts in messages:
            socket.send_multipart([bytes.fromhex(part) for part in parts])
        failed, until = [], time.time() + 3
        done = zmq.EVENT_HANDSHAKE_SUCCEEDED
        while time.time() < until:
            if monitor.poll(50):
                event = recv_monitor_message(monitor)["event"]
                if event in (0x2000, 0x4000):
                    failed.append(int(event))
                    break
                if event == done:
                    break
        socket.disable_monitor()
        socket.close(5000)
        return {"failed": failed}

    def do_pull(self, key):
        socket = self.context.socket(zmq.PULL)
        socket.bind("tcp://127.0.0.1:*")
        self.pipes[key] = socket
        return {"port": int(socket.getsockopt(zmq.LAST_ENDPOINT).decode().rsplit(":", 1)[1])}

    def do_pulled(self, key, count, limit=10):
        socket, found, until = self.pipes[key], [], time.time() + limit
        while len(found) < count and time.time() < until:
            if socket.poll(50):
                found.append([part.hex() for part in socket.recv_multipart()])
        return {"messages": found}


def main():
    lab = Lab()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(lab, "do_" + command.pop("do"))(**command)
        except Exception as error:  # the test shows it
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)

    # Sockets and threads that are left do not matter any more.
    os._exit(0)


main()
