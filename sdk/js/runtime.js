// What a script imports from "weir", and what runs before the script. It is
// bundled with every plugin. The adapter's host calls come in the global __weir,
// which is gone before the script's own lines run.

const host = globalThis.__weir;
delete globalThis.__weir;

const { parse, stringify } = JSON;

function toJSON(value) {
  switch (typeof value) {
    case "bigint":
      return String(value);
    case "number":
      if (value - value !== 0) return undefined; // JSON has neither NaN nor infinity
      return Object.is(value, -0) ? "-0" : stringify(value);
    default:
      return stringify(value);
  }
}

function raise(text) {
  throw new Error(text);
}

host.lend(parse, toJSON, raise);

class Stop {
  #name;
  constructor(name) {
    this.#name = name;
  }
  toString() {
    return `${this.#name}() ends the handler: don't catch what it throws`;
  }
}

const stopDrop = Object.freeze(new Stop("drop"));
const stopFail = Object.freeze(new Stop("fail"));

// Refusal is what fail() throws outside of a handler, where the adapter doesn't
// know the other one yet: the text by itself.
class Refusal {
  stack = "";
  #text;
  constructor(text) {
    this.#text = text;
  }
  toString() {
    return this.#text;
  }
}

let started = false;

export function drop() {
  if (!started) throw new Error("drop() outside of a handler: there is no event yet");
  throw stopDrop;
}

export function fail(text) {
  if (!started) throw new Refusal(String(text));
  host.fail(String(text));
  throw stopFail;
}

export function path(...segments) {
  return segments.map((s) => String(s).replace(/[.\\]/g, "\\$&")).join(".");
}

class Event {
  get data() {
    const text = host.getRaw("");
    return text === undefined ? undefined : parse(text);
  }

  set data(value) {
    const text = toJSON(value);
    if (text === undefined) throw new Error("data: the value has no JSON: undefined, NaN, a function");
    if (json(host.contentType())) host.setRaw("", text);
    else host.writeData(typeof value === "string" ? value : text);
  }

  get bytes() {
    return new Uint8Array(host.bytes());
  }

  set bytes(value) {
    if (!(value instanceof Uint8Array)) throw new Error("bytes must be a Uint8Array");
    host.setBytes(value.slice().buffer);
  }

  toJSON() {
    return parse(host.message());
  }
}

// json reports whether a content type claims JSON.
function json(type) {
  return type !== undefined && /^\s*(application\/json|text\/json|[^;]*\+json)\s*(;|$)/i.test(type);
}

const proto = Event.prototype;
for (const name of ["get", "getRaw", "has", "set", "setRaw", "remove", "header", "setHeader", "removeHeader", "emit"]) {
  Object.defineProperty(proto, name, { value: host[name] });
}
for (const name of ["id", "source", "time", "route", "tenant"]) {
  Object.defineProperty(proto, name, {
    get: host[name],
    set() {
      throw new Error(`event.${name} can't be changed`);
    },
  });
}
Object.defineProperty(proto, "type", { get: host.type, set: host.setType });
Object.defineProperty(proto, "contentType", { get: host.contentType, set: contentType });
Object.defineProperty(proto, "subject", { get: host.subject, set: subject });

// Neither has to be there: undefined and null take them away.
function contentType(value) {
  host.setContentType(value ?? "");
}

function subject(value) {
  host.setSubject(value ?? "");
}

export const config = parse(host.config());

// show is what console writes of a value.
function show(value) {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null) return String(value);
  if (value instanceof Error) return host.describe(value);
  try {
    return stringify(value) ?? String(value);
  } catch {
    return String(value); // a cycle, a BigInt
  }
}

const levels = { trace: 1, debug: 2, log: 3, info: 3, warn: 4, error: 5 };
globalThis.console = {};
for (const name in levels) {
  console[name] = (...values) => host.log(levels[name], values.map(show).join(" "));
}

// The engine's own keeps its state in memory; the host's is seeded by the event.
Math.random = host.random;

// start is called by the first lines of the bundle, with what the script
// exports.
export function start(plugin) {
  started = true;
  for (const name of ["filter", "transform"]) {
    if (plugin[name] !== undefined && typeof plugin[name] !== "function") {
      throw new Error(`the export ${name} must be a function`);
    }
  }
  host.ready(Object.freeze(new Event()), plugin.filter, plugin.transform, stopDrop, stopFail);
}
