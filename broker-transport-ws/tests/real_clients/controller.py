"""As much of Zeek's cluster controller as the conversation needs."""

import asyncio
import json
import sys

import websockets

TOPIC = "zeek/management/controller"


def value(kind, data):
    return {"@data-type": kind, "data": data}


NONE = value("none", {})


def result(reqid, data):
    # Management::Result: reqid, success, instance, data, error, node.
    return value(
        "vector",
        [value("string", reqid), value("boolean", True), NONE, data, NONE, NONE],
    )


def event(name, *args):
    content = value("vector", [value("string", name), value("vector", list(args))])
    payload = [value("count", 1), value("count", 1), content]
    return json.dumps(
        {"type": "data-message", "topic": TOPIC, **value("vector", payload)}
    )


def instances():
    # Management::Instance: name, host, listen_port.
    instance = [
        value("string", "agent-1"),
        value("address", "127.0.0.1"),
        value("port", "2151/tcp"),
    ]
    return value("vector", [value("vector", instance)])


def configuration():
    # Management::Configuration: id, instances, nodes.
    return value("vector", [value("string", "id-1"), value("set", []), value("set", [])])


async def main(url):
    async with websockets.connect(url + "/v1/messages/json") as ws:
        await ws.send(json.dumps([TOPIC]))
        json.loads(await ws.recv())
        print("ready", flush=True)
        async for text in ws:
            content = json.loads(text)["data"][2]["data"]
            name = content[0]["data"]
            reqid = content[1]["data"][0]["data"]
            if not name.endswith("_request"):
                continue
            print("request", name, flush=True)
            data = instances() if "instances" in name else configuration()
            response = name.replace("_request", "_response")
            await ws.send(event(response, value("string", reqid), result(reqid, data)))


asyncio.run(main(sys.argv[1]))
