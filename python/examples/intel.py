"""A tool for the C++ module that changes intelligence data and waits for the answers:
``python -m zeek_broker.compat intel.py PORT (insert | remove) ITEM ...``."""

import sys
import time

import broker
import broker.zeek

TOPIC = "/intel-manager"


def main():
    port, what, items = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
    endpoint = broker.Endpoint()
    subscriber = endpoint.make_subscriber(TOPIC)
    statuses = endpoint.make_status_subscriber(True)
    if not endpoint.peer("127.0.0.1", port, retry=0):
        sys.exit("no Zeek there")
    for status in statuses.get(10, 0.1):
        print(status.code().name)
    for item in items:
        endpoint.publish(TOPIC, broker.zeek.Event("Intel::" + what, item))
    left, until = set(items), time.time() + 10
    while left and time.time() < until:
        # With one number this would wait forever, hence both.
        for _, message in subscriber.get(1, 0.5):
            event = broker.zeek.Event(message)
            print(event.name(), *event.args(), flush=True)
            left.discard(event.args()[0])
    sys.exit(1 if left else 0)


main()
