"""A part of a web application for the C++ module: a task of asyncio that asks once a second, and
values of every type as JSON: ``python -m zeek_broker.compat configurator.py PORT``."""

import asyncio
import datetime
import ipaddress
import json
import sys

import broker
import broker.zeek


def to_json(value):
    if isinstance(value, broker.Count):
        return {"type": "count", "value": value.value}
    if isinstance(value, broker.Enum):
        return {"type": "enum", "value": value.name}
    if isinstance(value, broker.Port):
        kinds = {broker.Port.Protocol.TCP: "tcp", broker.Port.Protocol.UDP: "udp"}
        kind = kinds.get(value.get_type(), "other")
        return {"type": "port", "value": value.number(), "protocol": kind}
    if isinstance(value, datetime.timedelta):
        return {"type": "interval", "value": value.total_seconds()}
    if isinstance(value, datetime.datetime):
        return {"type": "time", "value": value.timestamp()}
    if isinstance(value, (ipaddress.IPv4Address, ipaddress.IPv6Address)):
        return {"type": "addr", "value": str(value)}
    if isinstance(value, (ipaddress.IPv4Network, ipaddress.IPv6Network)):
        return {"type": "subnet", "value": str(value)}
    if isinstance(value, (set, frozenset)):
        return {"type": "set", "value": sorted(map(json.dumps, map(to_json, value)))}
    if isinstance(value, dict):
        return {"type": "table", "value": [[to_json(k), to_json(v)] for k, v in value.items()]}
    if isinstance(value, tuple):
        return {"type": "vector", "value": [to_json(item) for item in value]}
    return {"type": type(value).__name__, "value": value}


async def receive(subscriber):
    while True:
        for _, message in subscriber.get(1, 1):
            event = broker.zeek.Event(message)
            if event.name() == "Configurator::stop":
                return
            print(json.dumps([event.name(), *map(to_json, event.args())]), flush=True)
        await asyncio.sleep(0)


def main():
    options = broker.BrokerOptions()
    options.forward = False
    endpoint = broker.Endpoint(broker.Configuration(options))
    subscriber = endpoint.make_subscriber(["/configurator", "/configurator/more"])
    subscriber.add_topic("/other", block=True)
    endpoint.peer("127.0.0.1", int(sys.argv[1]))
    defaults = broker.zeek.Event(
        "Configurator::hello", broker.Timespan(1.5), broker.Timestamp(2.5), broker.Count(3)
    )
    endpoint.publish("/configurator/hello", defaults)
    asyncio.run(receive(subscriber))
    endpoint.shutdown()


main()
