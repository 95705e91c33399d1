"""An endpoint of the C++ Broker that is told what to do, one JSON object per line.

usage: cpp_endpoint.py listen|connect HOST:PORT [--plain] [--retry S] [--topic T]...

Commands: subscribe and unsubscribe (topics), forward (topics), publish (topic, text), values
(topic), event (topic, name, args), echo (from, to), burst (topic, count, size), listen, peer and
unpeer (port), peers, shutdown. What happens is printed, one JSON object per line as well.
"""

import argparse
import datetime
import ipaddress
import json
import sys
import threading
import time

import broker
import broker._broker as raw

PRINTING = threading.Lock()


def say(event, **members):
    with PRINTING:
        print(json.dumps({"event": event, **members}), flush=True)


def topic(name):
    return raw.Topic(name)


def one_of_each():
    """One value of every type, as the library makes them."""
    when = datetime.datetime(2022, 4, 10, 7, 0, 0, tzinfo=datetime.timezone.utc)
    return [
        None,
        True,
        broker.Count(18446744073709551615),
        -9223372036854775808,
        1.5,
        'text "quoted"',
        ipaddress.ip_address("10.0.0.7"),
        ipaddress.ip_address("2001:db8::1"),
        ipaddress.ip_network("10.0.0.0/8"),
        broker.Port(80, broker.Port.TCP),
        when,
        datetime.timedelta(seconds=1.5),
        broker.Enum("Conn::LOG"),
        {broker.Count(1), broker.Count(2)},
        {"k": broker.Count(1)},
        [1, ["nested"]],
    ]


class Peer:
    def __init__(self, endpoint, topics):
        self.endpoint = endpoint
        self.echoes = {}
        names = raw.VectorTopic([topic(name) for name in topics])
        self.subscriber = raw.Endpoint.make_subscriber(endpoint, names, 1000)
        self.statuses = endpoint.make_status_subscriber(True)

    def follow(self):
        """Tells what arrives, until the process ends."""
        while True:
            busy = False
            for status in self.statuses.poll():
                busy = True
                text = repr(status)
                say("status", code=text.partition("(")[0], text=text)
            for name, data in self.subscriber.poll():
                busy = True
                self.arrived(name.string(), data)
            if not busy:
                time.sleep(0.002)

    def arrived(self, name, data):
        for prefix, to in self.echoes.items():
            if name.startswith(prefix):
                raw.Endpoint.publish(self.endpoint, topic(to), data)
                return
        text = str(data)
        kind = str(data.get_type()).split(".")[-1]
        say("message", topic=name, type=kind, text=text[:200], size=len(text))

    def subscribe(self, topics):
        for name in topics:
            self.subscriber.add_topic(topic(name), True)
        say("subscribed")

    def unsubscribe(self, topics):
        for name in topics:
            self.subscriber.remove_topic(topic(name), True)
        say("unsubscribed")

    def echo(self, **prefixes):
        self.echoes[prefixes["from"]] = prefixes["to"]
        self.subscribe([prefixes["from"]])

    def forward(self, topics):
        # Given a list, the module fails with every Python since 3.10.
        for name in topics:
            self.endpoint.forward(topic(name))
        say("forwards")

    def publish(self, topic, text):
        self.endpoint.publish(topic, text)

    def values(self, topic):
        for value in one_of_each():
            self.endpoint.publish(topic, value)

    def event(self, topic, name, args):
        self.endpoint.publish(topic, broker.zeek.Event(name, *args))

    def burst(self, topic, count, size):
        for number in range(count):
            self.endpoint.publish(topic, f"{number} ".ljust(size, "x"))
        say("published", count=count)

    def listen(self, port):
        port = self.endpoint.listen("127.0.0.1", port)
        say("listening" if port else "error", address=f"127.0.0.1:{port}")

    def peer(self, port, retry):
        self.endpoint.peer_nosync("127.0.0.1", port, retry)

    def unpeer(self, port):
        say("unpeered", known=self.endpoint.unpeer("127.0.0.1", port))

    def peers(self):
        peers = [peer.peer.node_id() for peer in self.endpoint.peers()]
        say("peers", peers=[str(peer) for peer in peers])

    def shutdown(self):
        self.endpoint.shutdown()
        say("shut down")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["listen", "connect"])
    parser.add_argument("address")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--retry", type=float, default=1.0)
    parser.add_argument("--topic", action="append", default=[])
    arguments = parser.parse_args()
    options = broker.BrokerOptions()
    options.disable_ssl = arguments.plain
    endpoint = broker.Endpoint(broker.Configuration(options))
    peer = Peer(endpoint, arguments.topic)
    say("id", id=str(endpoint.node_id()))
    port = int(arguments.address.rpartition(":")[2])
    threading.Thread(target=peer.follow, daemon=True).start()
    if arguments.role == "listen":
        peer.listen(port)
    else:
        peer.peer(port, arguments.retry)
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("do")
        getattr(peer, name)(**command)
        if name == "shutdown":
            return


main()
