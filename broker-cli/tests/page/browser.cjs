// Opens the page of a node in Chromium and says on standard output what has been seen, a word a
// line; the test makes the next thing happen when it has read it.
"use strict";
const { chromium } = require("playwright-core");

(async () => {
  const [, , executablePath, url] = process.argv;
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox"] });
  const page = await browser.newPage({ viewport: { width: 390, height: 800 } });
  const wrong = [];
  page.on("pageerror", (error) => wrong.push(String(error)));
  page.on("console", (message) => {
    // While the node is restarted nothing answers.
    if (message.type() === "error" && !message.text().includes("net::ERR_")) wrong.push(message.text());
  });
  page.on("request", (request) => {
    if (!request.url().startsWith(url)) wrong.push(`a request to ${request.url()}`);
  });
  const shows = (selector, text) => page.waitForFunction(
    ([selector, text]) => [...document.querySelectorAll(selector)].some((found) => found.textContent.includes(text)),
    [selector, text], { timeout: 60000 });
  await page.goto(url);
  await shows("#summary", "up ");
  console.log("loaded");
  await shows("#peers tbody", "sensor-1");
  await shows("#overlay text", "sensor-1");
  console.log("peered");
  await shows("#tail li", "<img src=x onerror=alert(1)>");
  await shows("#topics td", "<img src=x onerror=alert(1)>");
  await shows("#tail li", "Notice::log(10.0.0.7, \"<script>\")");
  if (await page.locator("main img, main script").count()) wrong.push("a topic became an element");
  console.log("escaped");
  await shows("#events li", "peer_lost");
  console.log("lost");
  await shows("#summary", "does not answer");
  console.log("down");
  await shows("#summary", "up ");
  const isWide = await page.evaluate(() => document.documentElement.scrollWidth > innerWidth);
  if (isWide) wrong.push("the page is wider than a phone");
  await page.keyboard.press("/");
  const focused = await page.evaluate(() => document.activeElement.id);
  if (focused !== "f-topic") wrong.push(`the key / leads to ${focused}`);
  await browser.close();
  console.log(wrong.length ? `wrong: ${wrong.join("; ")}` : "right");
})().catch((error) => { console.log(`wrong: ${error}`); process.exit(1); });
