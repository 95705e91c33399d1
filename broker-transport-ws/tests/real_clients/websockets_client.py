"""Sends back what it gets, in every form that this library can."""

import asyncio
import json
import sys

import websockets


def say(*words):
    print(*words, flush=True)


async def main(url):
    async with websockets.connect(
        url + "/v1/messages/json",
        additional_headers={"X-Application-Name": "py-test"},
        max_size=None,
    ) as ws:
        await ws.send(json.dumps(["/py/down", "/py/stop"]))
        ack = json.loads(await ws.recv())
        assert ack["type"] == "ack" and ack["endpoint"] and ack["version"], ack
        assert ws.protocol.extensions == [], "no extension has been agreed to"
        await (await ws.ping())
        say("ready")
        first = await ws.recv()
        assert isinstance(first, str)
        message = json.loads(first)
        message["topic"] = "/py/up"
        text = json.dumps(message, indent=2)
        await ws.send(text)
        await ws.send(text.encode())
        await ws.send([text[i : i + 100] for i in range(0, len(text), 100)])
        await ws.send("{")
        error = json.loads(await ws.recv())
        say("error", error["code"], error["context"])
        big = json.loads(await ws.recv())
        big["topic"] = "/py/up"
        await ws.send(json.dumps(big))
        stop = json.loads(await ws.recv())
        assert stop["topic"] == "/py/stop", stop
    say("closed", ws.close_code)


asyncio.run(main(sys.argv[1]))
