"""Handlers for events, by name, with records as dataclasses: ``handlers.py URL``.

Answers every ``Demo::conn`` on ``/demo`` with ``Demo::verdict`` on ``/verdicts``, until
``Demo::stop`` comes."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address

import zeek_broker
from zeek_broker import Event, Port


@dataclass
class ConnId:
    orig_h: IPv4Address | IPv6Address
    orig_p: Port
    resp_h: IPv4Address | IPv6Address
    resp_p: Port


async def main(url: str) -> None:
    async with zeek_broker.connect(url) as endpoint:

        @endpoint.on("Demo::conn", topic="/demo")
        async def conn(id: ConnId, start: datetime, duration: float | None) -> None:
            verdict = "long" if duration is not None and duration > 60 else "short"
            await endpoint.publish("/verdicts", Event("Demo::verdict", id, verdict, start))

        @endpoint.on("Demo::stop", topic="/demo")
        async def stop() -> None:
            await endpoint.flush()
            await endpoint.close()

        await endpoint.run()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
