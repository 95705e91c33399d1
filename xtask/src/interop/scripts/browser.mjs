// Looks at the example page with Chromium, driven by playwright-core.

import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";
import readline from "node:readline";

const require = createRequire(join(process.env.BROKER_NODE_MODULES, "x"));
const { chromium } = require("playwright-core");
const [executablePath, address] = process.argv.slice(2);
const say = (...words) => console.log(...words);

const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  await page.goto(address);
  await page.waitForFunction(
    () => document.getElementById("state")?.dataset.state === "connected",
  );
  say("ready");
  await page.waitForFunction(() => document.getElementById("count").textContent === "3");
  const row = await page.evaluate(() =>
    [...document.getElementById("messages").rows[0].cells].slice(1).map((c) => c.textContent),
  );
  say("first row:", row.join(" | "));
  const lines = readline.createInterface({ input: process.stdin });
  await lines[Symbol.asyncIterator]().next();
  await page.evaluate(() =>
    socket.send(JSON.stringify({ topic: "/web/up", "@data-type": "string", data: "from there" })),
  );
  say("done");
} finally {
  await browser.close();
}
process.exit(0);
