"""A script of 2019 for the C++ module: ``python -m zeek_broker.compat old_style.py PORT``."""

import sys

import broker
import broker.zeek

endpoint = broker.Endpoint()
subscriber = endpoint.make_subscriber("/topic/test")
statuses = endpoint.make_status_subscriber(True)
endpoint.peer("127.0.0.1", int(sys.argv[1]))

status = statuses.get()
while not (type(status) == broker.Status and status.code() == broker.SC.PeerAdded):
    status = statuses.get()
print("peered with", status.context().network.get().address, flush=True)

for number in range(5):
    endpoint.publish("/topic/test", broker.zeek.Event("ping", "question", broker.Count(number)))
    (topic, data) = subscriber.get()
    pong = broker.zeek.Event(data)
    print("received {}{}".format(pong.name(), pong.args()), flush=True)
