// The page of the gateway. It shows what /admin/status and /admin/events say, and does nothing that curl could not.
"use strict";

const HOUR = 60 * 60 * 1000;
const LOOK_EVERY = 2000;
const TRY_AGAIN_AFTER = 1000;
const MOST_EVENTS = 2000;
const SHOWN_EVENTS = 100;
const MOST_LINES = 1000;

const $ = (selector, within = document) => within.querySelector(selector);
const make = (template) => $(`#${template}`).content.firstElementChild.cloneNode(true);
const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// Nodes are changed only where they differ: focus, selections and screen readers stay where they are.
function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function show(node, text) {
  node.hidden = !text;
  setText(node, text ?? "");
}

// What is asked of the gateway

class Refused extends Error {}

// Without a key that the gateway knows, it waits until a person has entered one.
async function ask(path, { headers, ...options } = {}) {
  for (;;) {
    const key = sessionStorage.getItem("key");
    const authorization = key ? { authorization: `Bearer ${key}` } : {};
    const response = await fetch(path, { ...options, cache: "no-store", headers: { ...authorization, ...headers } });
    if (response.ok) return response;
    if (response.status !== 401) {
      const answer = await response.json().catch(() => ({}));
      throw new Refused(answer.error?.message ?? `${path}: ${response.status}`);
    }
    if (key === sessionStorage.getItem("key")) await keyEntered(key !== null);
  }
}

let entered = null;

function keyEntered(wasWrong) {
  entered ??= new Promise((resolve) => {
    $("#wrong").hidden = !wasWrong;
    $("#key").hidden = false;
    $("#key-value").focus();
    setText($("#connection"), "a key is needed");
    $("#key").onsubmit = (event) => {
      event.preventDefault();
      sessionStorage.setItem("key", $("#key-value").value.trim());
      $("#key-value").value = "";
      $("#key").hidden = true;
      entered = null;
      resolve();
    };
  });
  return entered;
}

// Server-sent events by fetch: an EventSource cannot send a key.
async function* events(path, options) {
  const response = await ask(path, { ...options, headers: { accept: "text/event-stream", ...options.headers } });
  let rest = "";
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const parts = (rest + value).split("\n\n");
    rest = parts.pop();
    for (const part of parts) {
      const event = {};
      for (const line of part.split("\n")) {
        const [, name, text] = /^([a-z]+): ?(.*)$/.exec(line) ?? [];
        if (name) event[name] = text;
      }
      if (event.data) yield { id: event.id, data: JSON.parse(event.data) };
    }
  }
}

async function act(path) {
  try {
    await ask(path, { method: "POST" });
    show($("#problem"), null);
  } catch (error) {
    show($("#problem"), error.message);
  }
  look();
}

const pathOf = (service) => `/admin/${encodeURIComponent(service)}`;

// Numbers for people

function time(ms) {
  const seconds = ms / 1000;
  if (ms < 100) return `${Math.round(ms)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 2 * 3600) return `${Math.round(seconds / 60)} min`;
  return `${(seconds / 3600).toFixed(1)} h`;
}

function amount(number) {
  const units = ["", " kB", " MB", " GB", " TB"];
  let unit = 0;
  while (number >= 1000 && unit < units.length - 1) {
    number /= 1000;
    unit += 1;
  }
  return `${number < 10 && unit > 0 ? number.toFixed(1) : Math.round(number)}${units[unit]}`;
}

// As it was written, if that was in units of 1024.
function capacity(number) {
  const whole = [[2 ** 40, "TiB"], [2 ** 30, "GiB"], [2 ** 20, "MiB"]].find(([unit]) => number >= unit && number % unit === 0);
  return whole ? `${number / whole[0]} ${whole[1]}` : amount(number);
}

const count = (number, one, many) => `${number} ${number === 1 ? one : many}`;

// What the services do

let services = {};
async function look() {
  try {
    const status = await (await ask("/admin/status")).json();
    services = status.providers;
    for (const [service, { waitsFor }] of Object.entries(services)) if (waitsFor) waitedAt.set(service, Date.now());
    connected(true);
    showServices();
    showResources(status.resources);
    showPast();
  } catch (error) {
    connected(false, error);
  }
}

async function keepLooking() {
  for (;;) {
    if (!document.hidden) await look();
    await wait(LOOK_EVERY);
  }
}

function connected(is, error) {
  const lost = error instanceof Refused ? error.message : "the gateway does not answer; trying again …";
  $("#connection").classList.toggle("lost", !is);
  setText($("#connection"), is ? "live" : lost);
}

function phaseText(status) {
  const external = status.ownership === "external";
  switch (status.phase) {
    case "ready":
      return `ready for ${time(status.upForMs ?? 0)}${external ? ", started by another program" : ""}`;
    case "starting":
      return status.waitsFor ? "waits" : `loading for ${time(status.loadingForMs ?? 0)}`;
    default:
      return status.phase;
  }
}

function facts(status) {
  const uses = [];
  if (status.leases) uses.push(count(status.leases, "answer in progress", "answers in progress"));
  if (status.waiters) uses.push(count(status.waiters, "request waits", "requests wait"));
  const since = status.upForMs == null ? null : new Date(Date.now() - status.upForMs).toLocaleTimeString();
  return {
    models: status.models.join(", ") || "none listed",
    address: status.url,
    "ready since": since,
    memory: status.memoryBytes == null ? null : amount(status.memoryBytes),
    "GPU memory": status.gpuMemoryBytes == null ? null : amount(status.gpuMemoryBytes),
    use: uses.join(", ") || null,
    "stops in": status.stopsInMs == null ? null : `${time(status.stopsInMs)}, unless it is used`,
    process: status.pid == null ? null : String(status.pid),
    starts: String(status.starts),
    command: status.command.join(" "),
  };
}

function showFacts(list, wanted) {
  const known = new Map([...list.querySelectorAll("dt")].map((it) => [it.textContent, it]));
  for (const [name, text] of Object.entries(wanted)) {
    let term = known.get(name);
    if (!term) {
      term = document.createElement("dt");
      term.textContent = name;
      list.append(term, document.createElement("dd"));
    }
    term.hidden = term.nextElementSibling.hidden = text == null;
    setText(term.nextElementSibling, text ?? "");
  }
}

function showServices() {
  const cards = new Map([...$("#services").children].map((it) => [it.dataset.service, it]));
  for (const [service, status] of Object.entries(services)) {
    const card = cards.get(service) ?? addCard(service);
    cards.delete(service);
    card.dataset.phase = status.phase;
    setText($(".phase", card), phaseText(status));
    show($(".waits", card), status.waitsFor && `waits for ${status.waitsFor}`);
    show($(".error", card), status.lastErrorLines);
    showFacts($("dl", card), facts(status));
    $(".start", card).disabled = ["starting", "ready"].includes(status.phase);
    $(".stop", card).disabled = ["stopped", "stopping", "failed"].includes(status.phase) || status.ownership === "external";
  }
  for (const gone of cards.values()) gone.remove();
  $("#stop-all").disabled = [...document.querySelectorAll("article .stop")].every((it) => it.disabled);
}

function addCard(service) {
  const card = make("service");
  card.dataset.service = service;
  $("h2", card).textContent = service;
  for (const button of card.querySelectorAll("button")) button.setAttribute("aria-label", `${button.textContent} ${service}`);
  // A start may take minutes: the page sees it, and does not wait for it.
  $(".start", card).addEventListener("click", () => act(`${pathOf(service)}/start?wait=no`));
  $(".stop", card).addEventListener("click", () => mayStop([service]) && act(`${pathOf(service)}/stop`));
  $(".log", card).addEventListener("toggle", (event) => follow(service, event.target));
  $("#services").append(card);
  return card;
}

function mayStop(names) {
  const broken = names.reduce((sum, name) => sum + (services[name]?.leases ?? 0), 0);
  return broken === 0 || confirm(`Stop? ${count(broken, "answer breaks", "answers break")} off.`);
}

function showResources(resources) {
  $("#resources").hidden = resources.length === 0;
  $("#resources").replaceChildren(...resources.map((resource) => {
    const row = make("resource");
    const holders = resource.holders.map(([name, has]) => `${name} ${capacity(has)}`);
    const waiting = resource.waiting.map(([name, needs]) => `${name} waits for ${capacity(needs)}`);
    $(".name", row).textContent = resource.name;
    $("meter", row).max = resource.capacity;
    $("meter", row).value = resource.used;
    const used = `${capacity(resource.used)} of ${capacity(resource.capacity)}`;
    $(".amounts", row).textContent = [used, ...holders, ...waiting].join(" · ");
    $("meter", row).textContent = used;
    return row;
  }));
}

// What they write

async function follow(service, details) {
  details.stop?.abort();
  if (!details.open) return;
  const stop = details.stop = new AbortController();
  const text = $("pre", details);
  while (details.open && !stop.signal.aborted) {
    text.replaceChildren();
    try {
      for await (const { data } of events(`${pathOf(service)}/log?follow`, { signal: stop.signal })) addLine(text, data);
    } catch {
      // Closed, or cut off: the page says so by itself.
    }
    await wait(TRY_AGAIN_AFTER);
  }
}

function addLine(log, line) {
  const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
  if (line.missed) {
    const missed = document.createElement("span");
    missed.className = "missed";
    missed.textContent = `(${count(line.missed, "line was", "lines were")} lost)\n`;
    log.append(missed);
  }
  log.append(`${line.text}\n`);
  while (log.childNodes.length > MOST_LINES) log.firstChild.remove();
  if (atEnd) log.scrollTop = log.scrollHeight;
}

// What has happened

const past = [];
// When each service was last seen to wait.
const waitedAt = new Map();

async function followEvents() {
  let last = null;
  for (;;) {
    try {
      const headers = last ? { "last-event-id": last } : {};
      for await (const { id, data } of events("/admin/events?past", { headers })) {
        // Another gateway has another past.
        if (last && last.split(".")[0] !== id.split(".")[0]) past.length = 0;
        last = id;
        past.push(data);
        if (past.length > MOST_EVENTS) past.shift();
        lookSoon();
      }
    } catch (error) {
      connected(false, error);
    }
    await wait(TRY_AGAIN_AFTER);
  }
}

let soon = null;

function lookSoon() {
  soon ??= setTimeout(() => {
    soon = null;
    look();
  }, 50);
}

function eventText(event) {
  switch (event.kind) {
    case "waiting":
      return event.holder ? `waits until ${event.holder} makes room` : "waits for room";
    case "starting":
      return "starts";
    case "ready":
      return event.external ? "is used: another program started it" : `is ready after ${time(event.tookMs)}`;
    case "makingWay":
      return "makes way for another service";
    case "stopping":
      return `is stopped: ${event.reason}`;
    case "stopped":
      return "has stopped";
    case "released":
      return "is not used any more";
    case "failed":
      return event.error;
    default:
      return null;
  }
}

// What happens only to a server that was ready before, unless something of its start is kept.
const ENDS = ["idle", "makingWay", "stopping", "stopped", "released"];

// From when to when a service did what, in ms.
function spans(service, now) {
  const found = [];
  const status = services[service];
  const events = past.filter((event) => event.service === service);
  // What is older is forgotten: after an hour, or when there is too much of it.
  const known = past.length < MOST_EVENTS ? now - HOUR : past[0].atMs;
  let open = ENDS.includes(events[0]?.kind) ? { kind: "ready", from: known } : null;
  const begin = (kind, at) => {
    if (open) found.push({ ...open, to: at });
    open = kind && { kind, from: at };
  };
  for (const { kind, atMs } of events) {
    if (kind === "failed") {
      begin(null, atMs);
      found.push({ kind, from: atMs, to: atMs });
    } else if (kind === "waiting" || kind === "starting" || kind === "ready" || kind === "stopping") begin(kind, atMs);
    else if (kind === "stopped" || kind === "released") begin(null, atMs);
  }
  // Nothing tells of the end of a wait for which nobody waits any more.
  const gaveUp = open?.kind === "waiting" && ["stopped", "failed"].includes(status?.phase);
  begin(null, gaveUp ? Math.max(open.from, waitedAt.get(service) ?? 0) : now);
  if (found.length === 0 && status?.upForMs != null) found.push({ kind: "ready", from: now - status.upForMs, to: now });
  return found.filter((span) => span.to >= now - HOUR);
}

function strip(service, now) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 3600 10");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  const all = spans(service, now);
  svg.setAttribute("aria-label", `${service}: ${all.map((it) => it.kind).join(", ") || "nothing"}`);
  for (const { kind, from, to } of all) {
    const rect = document.createElementNS(svg.namespaceURI, "rect");
    const x = Math.max(0, (from - now + HOUR) / 1000);
    rect.setAttribute("class", kind);
    rect.setAttribute("x", Math.min(x, 3592));
    rect.setAttribute("width", Math.max((to - now + HOUR) / 1000 - x, 8));
    rect.setAttribute("height", 10);
    svg.append(rect);
  }
  return svg;
}

function showPast() {
  const now = Date.now();
  while (past.length && past[0].atMs < now - HOUR) past.shift();
  const rows = Object.keys(services).flatMap((service) => {
    const name = document.createElement("span");
    name.textContent = service;
    return [name, strip(service, now)];
  });
  $("#strips").replaceChildren(...rows, $(".scale"));
  const told = past.filter((event) => eventText(event) !== null).slice(-SHOWN_EVENTS).reverse();
  $("#nothing").hidden = told.length > 0;
  const last = told[0] && `${told[0].instance} ${told[0].service} ${told[0].kind} ${told[0].atMs} ${told.length}`;
  if ($("#events").dataset.last === last) return;
  $("#events").dataset.last = last ?? "";
  $("#events").replaceChildren(...told.map((event) => {
    const item = document.createElement("li");
    item.dataset.kind = event.kind;
    const at = document.createElement("time");
    at.dateTime = new Date(event.atMs).toISOString();
    at.textContent = new Date(event.atMs).toLocaleTimeString();
    const name = document.createElement("b");
    name.textContent = event.service;
    const text = document.createElement("span");
    text.textContent = eventText(event) + (event.missed ? ` (${count(event.missed, "event", "events")} before it lost)` : "");
    item.append(at, name, text);
    return item;
  }));
}

$("#stop-all").addEventListener("click", () => mayStop(Object.keys(services)) && act("/admin/stop"));
document.addEventListener("visibilitychange", () => document.hidden || look());
look().then(() => {
  keepLooking();
  followEvents();
});
