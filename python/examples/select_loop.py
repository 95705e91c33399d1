"""A script for the C++ module that waits for several things at once, as the frameworks for network
control do: ``python -m zeek_broker.compat select_loop.py PORT COUNT``.

Prints what it receives as commands, with the types that such programs look at, and confirms
each."""

import re
import select
import sys

import broker
import broker.zeek

QUEUE = "/controller"


def parse(value):
    """What a program for switches makes of a value."""
    if isinstance(value, broker.Count):
        return value.value
    if isinstance(value, broker.Enum):
        return value.name
    if isinstance(value, broker.Port):
        number, protocol = re.match(r"(\d+)/(\w+)", str(value)).groups()
        return {"port": int(number), "protocol": protocol}
    if type(value).__name__ == "tuple":
        return [parse(item) for item in value]
    return value


def main():
    port, count = int(sys.argv[1]), int(sys.argv[2])
    endpoint = broker.Endpoint()
    subscriber = endpoint.make_subscriber(QUEUE)
    statuses = endpoint.make_status_subscriber(True)
    endpoint.peer("127.0.0.1", port)
    while count > 0:
        ready, _, _ = select.select([subscriber.fd(), statuses.fd()], [], [])
        if statuses.fd() in ready:
            status = statuses.get()
            if type(status) == broker.Status and status.code() == broker.SC.PeerAdded:
                print("connected", flush=True)
        if subscriber.fd() in ready:
            topic, message = subscriber.get()
            event = broker.zeek.Event(message)
            print(topic, event.name(), parse(tuple(event.args())), flush=True)
            done = broker.zeek.Event("Controller::done", event.args()[0], "ok")
            endpoint.publish(QUEUE + "/answers", done)
            count -= 1
    subscriber.reset()
    statuses.reset()
    endpoint.shutdown()


main()
