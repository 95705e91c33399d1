"use strict";
// Everything that comes from a node is put on the page as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";
const KEPT = 300; // seconds of charts
const $ = (id) => document.getElementById(id);

function element(name, text, classes) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (classes) made.className = classes;
  return made;
}

function shape(name, attributes, text) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}

function short(number) {
  if (number === undefined || number === null || Number.isNaN(number)) return "-";
  for (const unit of ["", "k", "M", "G", "T"]) {
    if (Math.abs(number) < 999.5) {
      return number.toFixed(unit && Math.abs(number) < 99.95 ? 1 : 0) + unit;
    }
    number /= 1000;
  }
  return number.toExponential(1);
}

function age(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h`;
  return `${Math.floor(seconds / 86400)}d`;
}

const wait = (seconds) => (seconds < 1 ? `${(seconds * 1000).toFixed(1)} ms` : `${seconds.toFixed(1)} s`);
const nameOf = (node) => node.name || (node["cluster-node"] !== "unknown" && node["cluster-node"]) || node.id.slice(0, 8);

// Rates: the difference of a number since it was seen last.
class Rates {
  constructor() { this.before = new Map(); this.now = new Map(); }
  begin(time) { this.before = this.now; this.now = new Map(); this.elapsed = this.time === undefined ? 0 : time - this.time; this.time = time; }
  of(key, value) {
    this.now.set(key, value);
    const before = this.before.get(key);
    if (before === undefined || this.elapsed <= 0) return undefined;
    return Math.max(0, value - before) / this.elapsed;
  }
}

// A table whose columns sort it.
class Table {
  constructor(table, columns, by, up) {
    this.table = table; this.columns = columns; this.by = by; this.up = Boolean(up); this.rows = [];
    this.body = element("tbody");
    const row = element("tr");
    this.heads = columns.map((column, at) => {
      const head = element("th", undefined, column.text ? "text" : "");
      head.scope = "col";
      const button = element("button", column.name);
      button.type = "button";
      button.addEventListener("click", () => {
        this.up = this.by === at ? !this.up : Boolean(column.text);
        this.by = at;
        this.draw();
      });
      head.append(button);
      row.append(head);
      return head;
    });
    const head = element("thead");
    head.append(row);
    table.append(head, this.body);
  }
  show(rows) { this.rows = rows; this.draw(); }
  draw() {
    const { value, text } = this.columns[this.by];
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      return text ? String(x).localeCompare(String(y)) : (x ?? -1) - (y ?? -1);
    };
    // Those that are there come before those that are not.
    const sorted = [...this.rows].sort((a, b) => Boolean(a.gone) - Boolean(b.gone) || (this.up ? compare(a, b) : compare(b, a)));
    this.heads.forEach((head, at) => {
      if (at === this.by) head.setAttribute("aria-sort", this.up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    this.body.replaceChildren(...sorted.map((item) => {
      const row = element("tr", undefined, item.gone ? "gone" : "");
      for (const column of this.columns) {
        const found = column.value(item);
        const shown = column.show ? column.show(found, item) : found;
        const mark = column.mark ? column.mark(found, item) : "";
        const cell = element("td", shown ?? "-", `${column.text ? "text" : ""} ${mark}`);
        if (column.text) cell.title = shown ?? "";
        row.append(cell);
      }
      return row;
    }));
  }
}

const number = (key) => ({ value: (row) => row[key], show: short });
const peers = new Table($("peers"), [
  { name: "Peer", text: true, value: (row) => row.name },
  { name: "Address", text: true, value: (row) => row.address },
  { name: "Out/s", ...number("outRate") },
  { name: "In/s", ...number("inRate") },
  { name: "Drops/s", ...number("dropRate"), mark: (value) => (value > 0 ? "bad" : "") },
  { name: "Dropped", ...number("dropped"), mark: (value) => (value > 0 ? "warn" : "") },
  { name: "Queued", ...number("queued") },
  { name: "Oldest", value: (row) => row.oldest, show: (value) => (value === undefined ? "-" : wait(value)), mark: (value) => (value > 1 ? "bad" : "") },
  { name: "Delivered", ...number("delivered") },
  { name: "Age", value: (row) => row.age, show: age },
  { name: "Protection", text: true, value: (row) => row.protection },
  { name: "Status", text: true, value: (row) => row.status },
  { name: "Topics", text: true, value: (row) => row.topics },
], 2);
const clients = new Table($("clients"), [
  { name: "Client", text: true, value: (row) => row.name },
  { name: "Address", text: true, value: (row) => row.address },
  { name: "Out/s", ...number("outRate") },
  { name: "In/s", ...number("inRate") },
  { name: "Dropped", ...number("dropped"), mark: (value) => (value > 0 ? "warn" : "") },
  { name: "Age", value: (row) => row.age, show: age },
], 2);
const topics = new Table($("topics"), [
  { name: "Topic", text: true, value: (row) => row.topic },
  { name: "Messages/s", ...number("rate") },
  { name: "Bytes/s", ...number("bytesRate") },
  { name: "Seen", ...number("messages") },
], 1);

const rates = new Rates();
const topicRates = new Rates();
const series = { out: [], in: [], drop: [] };

function chart(name, value) {
  const list = series[name];
  list.push(value ?? 0);
  if (list.length > KEPT) list.shift();
  $(`now-${name}`).textContent = short(value);
  const most = Math.max(1, ...list);
  const at = (index, rate) => `${(300 - (list.length - 1 - index) * (300 / KEPT)).toFixed(1)},${(78 - (rate / most) * 66).toFixed(1)}`;
  const line = list.map((rate, index) => at(index, rate)).join(" ");
  const first = (300 - (list.length - 1) * (300 / KEPT)).toFixed(1);
  const svg = $(`chart-${name}`);
  svg.classList.toggle("bad", name === "drop");
  svg.replaceChildren(
    shape("line", { x1: 0, x2: 300, y1: 78.5, y2: 78.5, class: "axis" }),
    shape("polygon", { points: `${first},78 ${line} 300,78`, class: "area" }),
    shape("polyline", { points: line, class: "stroke" }),
    shape("text", { x: 2, y: 10, class: "small" }, short(most)),
  );
}

function showStatus(status) {
  rates.begin(status.uptime);
  $("title").textContent = `${nameOf(status)}`;
  document.title = `${nameOf(status)} - Broker`;
  let [out, into, drop] = [0, 0, 0];
  const rows = status.peers.map((peer) => {
    const stats = peer.statistics;
    const row = {
      name: peer.name || peer.id || "-", address: peer.address,
      status: peer.last_error && !stats ? `${peer.status}: ${peer.last_error}` : peer.status,
      age: peer.age, protection: peer.protection, gone: !stats,
      topics: peer.filter.map((topic) => topic || "(all)").join(" "),
    };
    if (!stats) return row;
    const key = peer.id;
    row.outRate = rates.of(`${key} out`, stats.delivered);
    row.inRate = rates.of(`${key} in`, stats.messages_in);
    row.dropRate = rates.of(`${key} drop`, stats.dropped);
    out += row.outRate ?? 0; into += row.inRate ?? 0; drop += row.dropRate ?? 0;
    return Object.assign(row, { dropped: stats.dropped, queued: stats.num_queued, oldest: stats.oldest, delivered: stats.delivered });
  });
  peers.show(rows);
  clients.show(status.clients.map((client) => ({
    name: client.application || client.client_type, address: client.address, age: client.age, dropped: client.dropped,
    outRate: rates.of(`${client.id} out`, client.messages_out),
    inRate: rates.of(`${client.id} in`, client.messages_in),
  })));
  chart("out", out); chart("in", into); chart("drop", drop);
  const note = $("summary");
  note.classList.remove("bad");
  note.textContent = `up ${age(status.uptime)}, ${status["native-connections"]} peers, ${status.clients.length} clients, version ${status.version}, ${status.id}`;
}

// The overlay: nodes that told about themselves and those they know, around the one that is asked.
function showOverlay(overlay) {
  const nodes = new Map();
  const links = new Map();
  for (const node of overlay.nodes) {
    nodes.set(node.id, { id: node.id, name: nameOf(node), clients: node.clients.length, known: true });
  }
  for (const node of overlay.nodes) {
    for (const peer of node.peers) {
      if (!peer.id || !peer.statistics) continue;
      if (!nodes.has(peer.id)) nodes.set(peer.id, { id: peer.id, name: peer.name || peer.id.slice(0, 8), clients: 0, known: false });
      const key = [node.id, peer.id].sort().join(" ");
      const link = links.get(key) ?? { protection: peer.protection, sent: 0, drops: 0, from: node.id, to: peer.id };
      if (peer.direction === "outbound") { link.from = node.id; link.to = peer.id; }
      link.sent += rates.of(`link ${node.id} ${peer.id}`, peer.statistics.delivered) ?? 0;
      link.drops += peer.statistics.dropped;
      links.set(key, link);
    }
  }
  const near = new Map([...nodes.keys()].map((id) => [id, []]));
  for (const link of links.values()) { near.get(link.from).push(link.to); near.get(link.to).push(link.from); }
  // Rings by distance from the own node; each child near its parent.
  const ring = new Map([[overlay.own, 0]]);
  const order = [overlay.own];
  for (const id of order) for (const next of near.get(id) ?? []) if (!ring.has(next)) { ring.set(next, ring.get(id) + 1); order.push(next); }
  for (const id of nodes.keys()) if (!ring.has(id)) { ring.set(id, 1); order.push(id); }
  const depth = Math.max(1, ...ring.values());
  const place = new Map();
  for (let level = 0; level <= depth; level += 1) {
    const here = order.filter((id) => ring.get(id) === level);
    here.forEach((id, at) => {
      const angle = (2 * Math.PI * (at + level * 0.5)) / here.length - Math.PI / 2;
      const reach = level / depth;
      place.set(id, [360 + Math.cos(angle) * reach * 300, 180 + Math.sin(angle) * reach * 145]);
    });
  }
  const shapes = [];
  for (const link of links.values()) {
    const [[x1, y1], [x2, y2]] = [place.get(link.from), place.get(link.to)];
    const classes = `link${link.protection === "plain" ? " plain" : ""}${link.drops ? " drops" : ""}`;
    const line = shape("line", { x1, y1, x2, y2, class: classes, "stroke-width": 1 + Math.min(2, Math.log10(1 + link.sent) / 2) });
    line.append(shape("title", {}, `${nodes.get(link.from).name} dialled ${nodes.get(link.to).name}: ${link.protection}, ${short(link.sent)}/s, ${short(link.drops)} dropped`));
    // The arrow points at the one that was dialled.
    const [dx, dy] = [x2 - x1, y2 - y1];
    const angle = (Math.atan2(dy, dx) * 180) / Math.PI;
    const [mx, my] = [x1 + dx * 0.6, y1 + dy * 0.6];
    shapes.push(line, shape("path", { d: "M-5,-4 L4,0 L-5,4", class: "link", transform: `translate(${mx} ${my}) rotate(${angle})` }));
    if (link.sent >= 0.5 || link.drops) {
      shapes.push(shape("text", { x: x1 + dx * 0.45, y: y1 + dy * 0.45 - 4, "text-anchor": "middle", class: "small" }, `${short(link.sent)}/s${link.drops ? `, ${short(link.drops)} dropped` : ""}`));
    }
  }
  for (const [id, node] of nodes) {
    const [x, y] = place.get(id);
    const circle = shape("circle", { cx: x, cy: y, r: id === overlay.own ? 10 : 8, class: `node${id === overlay.own ? " own" : ""}${node.known ? "" : " quiet"}` });
    circle.append(shape("title", {}, `${node.name} ${id}`));
    const label = node.name.length > 18 ? `${node.name.slice(0, 17)}…` : node.name;
    shapes.push(circle, shape("text", { x, y: y + 22, "text-anchor": "middle" }, node.clients ? `${label} (${node.clients} clients)` : label));
  }
  $("overlay").replaceChildren(...shapes);
}

const seen = { after: 0, happened: 0 };

function lines(list, items, most) {
  list.prepend(...items.reverse());
  while (list.childElementCount > most) list.lastElementChild.remove();
}

function showWindow(answer) {
  topicRates.begin(performance.now() / 1000);
  const scale = (rate) => (rate === undefined ? undefined : rate * share);
  const passed = topicRates.of("passed", answer.passed);
  const missed = topicRates.of("missed", answer.missed);
  const share = passed > 0 && missed > 0 ? (passed + missed) / passed : 1;
  topics.show(answer.topics.map(([topic, count]) => ({
    topic, messages: count.messages,
    rate: scale(topicRates.of(`${topic} n`, count.messages)),
    bytesRate: scale(topicRates.of(`${topic} b`, count.bytes)),
  })));
  $("topics-note").textContent = share > 1 ? `a sample: one message of ${share.toFixed(1)} is looked at` : "of the topics that this node forwards";
  if (!$("f-pause").checked) {
    lines($("tail"), answer.messages.map((message) => {
      const item = element("li");
      item.append(element("time", message.ts.slice(11, 23)), element("span", message.topic, "topic"), document.createTextNode(message.text));
      return item;
    }), 200);
  }
  // A node that was started anew counts from one again.
  if (answer.happened_last < seen.happened) { seen.happened = 0; seen.after = 0; return; }
  seen.after = answer.last;
  seen.happened = answer.happened_last;
  lines($("events"), answer.happenings.map((event) => {
    const item = element("li", undefined, event.level);
    item.append(element("time", event.ts.slice(11, 19)), element("span", event.what, "topic"), document.createTextNode(event.text));
    return item;
  }), 200);
}

async function get(path) {
  const answer = await fetch(path, { cache: "no-store" });
  if (!answer.ok) throw new Error(`${path}: ${answer.status}`);
  return answer.json();
}

async function step() {
  try {
    const query = new URLSearchParams({ after: seen.after, happened: seen.happened, topic: $("f-topic").value });
    if ($("f-event").value) query.set("event", $("f-event").value);
    const [status, overlay, window] = await Promise.all([get("/v1/status/json"), get("/v1/overlay/json"), get(`/v1/window/json?${query}`)]);
    showStatus(status);
    showOverlay(overlay);
    showWindow(window);
  } catch (error) {
    $("summary").classList.add("bad");
    $("summary").textContent = `the node does not answer, trying again (${error.message})`;
  }
  setTimeout(step, 1000);
}

$("filter").addEventListener("submit", (event) => event.preventDefault());
for (const id of ["f-topic", "f-event"]) {
  $(id).addEventListener("change", () => { $("tail").replaceChildren(); seen.after = 0; });
}
document.addEventListener("keydown", (event) => {
  if (event.target instanceof HTMLInputElement || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "/") { event.preventDefault(); $("f-topic").focus(); }
  if (event.key === "p") $("f-pause").click();
  const section = document.querySelectorAll("section")[Number(event.key) - 1];
  if (section) section.scrollIntoView();
});
step();
