// Sends back what it gets, in every form that this library can.

import { createRequire } from "node:module";
import { join } from "node:path";
import process from "node:process";

const require = createRequire(join(process.env.BROKER_NODE_MODULES, "x"));
const { WebSocket } = require("ws");

const ws = new WebSocket(process.argv[2] + "/v1/messages/json", {
  headers: { "x-application-name": "js-test" },
});
const say = (...words) => console.log(...words);
// The numbers of the message are beyond what JavaScript can hold, so the text is used as it is.
const handlers = [
  (text) => {
    if (JSON.parse(text).type !== "ack") throw new Error(text);
    say("ready");
  },
  (text) => {
    const back = text.replace('"/js/down"', '"/js/up"');
    ws.send(back);
    ws.send(Buffer.from(back), { binary: true });
    ws.send(back.slice(0, 50), { fin: false });
    ws.send(back.slice(50), { fin: true });
    ws.send(JSON.stringify({ topic: "/js/up", "@data-type": "real", data: 5.0 }));
    ws.ping("are you there");
  },
  (text) => {
    say("error", JSON.parse(text).code);
    ws.close(1000, "done");
  },
];
ws.on("open", () => ws.send(JSON.stringify(["/js/down"])));
ws.on("message", (data) => handlers.shift()(data.toString()));
ws.on("pong", (payload) => {
  if (payload.toString() !== "are you there") throw new Error(payload);
  say("pong");
  ws.send("not JSON");
});
ws.on("close", (code, reason) => say("closed", code, reason.toString()));
ws.on("error", (error) => {
  throw error;
});
