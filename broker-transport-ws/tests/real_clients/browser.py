"""Looks at the example page through the debugging protocol of Chromium."""

import asyncio
import json
import pathlib
import sys
import tempfile

import websockets

FLAGS = """--headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-sync
--disable-background-networking --disable-component-update --remote-debugging-port=0""".split()


def say(*words):
    print(*words, flush=True)


class Page:
    def __init__(self, ws, session):
        self.ws, self.session, self.number = ws, session, 0

    async def call(self, method, **params):
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        await self.ws.send(json.dumps(message))
        while True:
            reply = json.loads(await self.ws.recv())
            if reply.get("id") == self.number:
                assert "error" not in reply, reply
                return reply["result"]

    async def evaluate(self, expression):
        reply = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in reply, reply
        return reply["result"].get("value")

    async def until(self, expression):
        while not (value := await self.evaluate(expression)):
            await asyncio.sleep(0.02)
        return value


async def debugger(profile):
    place = pathlib.Path(profile) / "DevToolsActivePort"
    while not place.exists() or len(place.read_text().splitlines()) < 2:
        await asyncio.sleep(0.05)
    port, path = place.read_text().splitlines()[:2]
    return f"ws://127.0.0.1:{port}{path}"


async def look(url, address):
    async with websockets.connect(url, max_size=None) as ws:
        browser = Page(ws, None)
        target = await browser.call("Target.createTarget", url=address)
        attached = await browser.call(
            "Target.attachToTarget", targetId=target["targetId"], flatten=True
        )
        page = Page(ws, attached["sessionId"])
        page.number = 1000
        await page.until("document.getElementById('state')?.dataset.state === 'connected'")
        say("ready")
        await page.until("document.getElementById('count').textContent === '3'")
        say("messages 3")
        cells = await page.evaluate(
            "[...document.getElementById('messages').rows[0].cells].slice(1)"
            ".map((cell) => cell.textContent).join(' | ')"
        )
        say("first row:", cells)
        made = await page.evaluate(
            "[document.images.length, document.scripts.length, String(window.run)].join()"
        )
        say("markup made", "nothing" if made == "0,1,undefined" else made)
        await page.until("document.getElementById('events').textContent.includes('peer_lost')")
        say("event peer_lost")
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        await page.evaluate(
            "socket.send(JSON.stringify({topic: '/web/up', '@data-type': 'string',"
            " data: 'from the browser'}))"
        )
        say("done")
        await browser.call("Browser.close")


async def main(chromium, address):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            chromium,
            *FLAGS,
            f"--user-data-dir={profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            await look(await debugger(profile), address)
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()


asyncio.run(main(sys.argv[1], sys.argv[2]))
