// The SDK for Weir plugins in AssemblyScript. A plugin is a file assembly/plugin.ts
// that exports a function filter, transform or both:
//
//	import { Flow, Message } from "weir";
//
//	export function transform(m: Message): Flow {
//	  if (m.bool("account.test")) return Flow.Drop;
//	  m.remove("account.password");
//	  m.set("account.email", "hidden");
//	  return Flow.Send;
//	}
//
// Values are read and changed by paths: segments parted by dots, where digits are an
// index in an array ("items.0.price"), "\\." is a dot and "\\\\" a backslash in a key.
// The host finds them, without parsing the rest, and every byte that is not changed
// stays.
//
// AssemblyScript has no exceptions that can be caught: a throw, a failed assert and
// whatever else aborts ends the event on this route only, with its text, file and
// line. A change that the host refuses throws; the functions that begin with "try"
// return the code instead.

import { dtoa_buffered } from "util/number";

@external("weir", "read") declare function hostRead(field: i32, at: usize, room: usize): i32;
@external("weir", "write") declare function hostWrite(field: i32, at: usize, size: usize): i32;
@external("weir", "get") declare function hostGet(path: usize, pathSize: usize, at: usize, room: usize): i32;
@external("weir", "set") declare function hostSet(path: usize, pathSize: usize, at: usize, size: usize): i32;
@external("weir", "remove") declare function hostRemove(path: usize, pathSize: usize): i32;
@external("weir", "header") declare function hostHeader(name: usize, nameSize: usize, at: usize, room: usize): i32;
@external("weir", "set_header") declare function hostSetHeader(name: usize, nameSize: usize, at: usize, size: usize): i32;
@external("weir", "remove_header") declare function hostRemoveHeader(name: usize, nameSize: usize): i32;
@external("weir", "emit") declare function hostEmit(): i32;
@external("weir", "log") declare function hostLog(level: i32, at: usize, size: usize): void;
@external("weir", "fail") declare function hostFail(at: usize, size: usize): void;
@external("wasi_snapshot_preview1", "clock_time_get") declare function wasiClock(id: i32, precision: i64, at: usize): i32;
@external("wasi_snapshot_preview1", "random_get") declare function wasiRandom(at: usize, size: usize): i32;

/** What a transform does with the message. */
export enum Flow {
  /** The message as it stands is sent, or what was emitted. */
  Send,
  /** Nothing is sent, or what was emitted. */
  Drop,
}

/** What became of a change. */
export enum Code {
  OK = 0,
  /** The path leads through a value that has no members, or past an array's end, or the data is not JSON. */
  NoPlace = -1,
  /** A path, name or value that can't be read. */
  Malformed = -2,
  /** A filter can't change anything, and some headers and types are the router's own. */
  NotAllowed = -3,
  /** More than 64 results or 4 MiB. */
  Limit = -4,
}

/** How urgent a log line is. */
export enum Level {
  Trace = 1,
  Debug,
  Info,
  Warn,
  Error,
}

/** Fields that can be written. */
export enum Field {
  Data = 0,
  Type = 1,
  Subject = 4,
  ContentType = 6,
}

// ---- Buffers: texts go through memory that is not the garbage collector's, so that
// most calls allocate nothing. ----

const ROOM: i32 = 4096;
const incoming = memory.data(4096);
const names = memory.data(1536);
const outgoing = memory.data(4096);

/** Bytes at a place: in a buffer of the SDK, or in one that keep holds. */
let at: usize = 0;
let size: i32 = 0;
let keep: ArrayBuffer = new ArrayBuffer(0);

/** Encodes a name or path, and returns its size. It lies at nameAt. */
let nameAt: usize = 0;
let nameKeep: ArrayBuffer = new ArrayBuffer(0);
function encodeName(text: string): usize {
  if (text.length <= 512) {
    nameAt = names;
    // The common case, without a call.
    const from = changetype<usize>(text);
    const length = text.length;
    let i = 0;
    for (; i < length; i++) {
      const c = load<u16>(from + (<usize>i << 1));
      if (c > 0x7f) break;
      store<u8>(names + i, <u8>c);
    }
    if (i == length) return length;
    return String.UTF8.encodeUnsafe(from, length, names);
  }
  nameKeep = String.UTF8.encode(text);
  nameAt = changetype<usize>(nameKeep);
  return nameKeep.byteLength;
}

/** Takes what a read gave into at and size, reading again where it was too large. */
function again(n: i32): bool {
  at = incoming;
  size = n;
  if (n <= ROOM) return false;
  keep = new ArrayBuffer(n);
  at = changetype<usize>(keep);
  return true;
}

function readField(field: i32): bool {
  const n = hostRead(field, incoming, ROOM);
  if (n < 0) return false;
  if (again(n)) hostRead(field, at, n);
  return true;
}

function readPath(path: string): bool {
  const length = encodeName(path);
  const n = hostGet(nameAt, length, incoming, ROOM);
  if (n < 0) {
    if (n == Code.Malformed) throw new Error('malformed path "' + path + '"');
    return false;
  }
  if (again(n)) hostGet(nameAt, length, at, n);
  return true;
}

function text(): string {
  return String.UTF8.decodeUnsafe(at, size);
}

/** The bytes as a value of their own. */
function value(): Value {
  const json = new ArrayBuffer(size);
  memory.copy(changetype<usize>(json), at, size);
  return new Value(json, 0, size);
}

/** Room for n bytes to be written to the host, which lie at the place returned. */
function room(n: i32): usize {
  if (n <= ROOM) return outgoing;
  keep = new ArrayBuffer(n);
  return changetype<usize>(keep);
}

// ---- JSON ----

function isSpace(c: i32): bool {
  return c == 0x20 || c == 0x0a || c == 0x0d || c == 0x09;
}

function space(from: usize, end: usize): usize {
  while (from < end && isSpace(load<u8>(from))) from++;
  return from;
}

/** The place behind the value at a place. The host has checked that it is JSON. */
function skip(from: usize, end: usize): usize {
  let depth = 0;
  while (from < end) {
    const c = load<u8>(from);
    if (c == 0x22) {
      for (from++; from < end && load<u8>(from) != 0x22; from++) {
        if (load<u8>(from) == 0x5c) from++;
      }
      from = from < end ? from + 1 : end;
    } else if (c == 0x7b || c == 0x5b) {
      depth++;
      from++;
    } else if (c == 0x7d || c == 0x5d) {
      if (depth == 0) return from;
      depth--;
      from++;
    } else if (c == 0x2c || c == 0x3a || isSpace(c)) {
      if (depth == 0) return from;
      from++;
      continue;
    } else {
      while (from < end) {
        const d = load<u8>(from);
        if (d == 0x2c || d == 0x3a || d == 0x7d || d == 0x5d || isSpace(d)) break;
        from++;
      }
    }
    if (depth == 0) return from;
  }
  return from;
}

/** Where the inside of a JSON string begins and ends, 0 where it is none. */
let insideEnd: usize = 0;
function inside(from: usize, end: usize): usize {
  from = space(from, end);
  if (from == end || load<u8>(from) != 0x22) return 0;
  const behind = skip(from, end);
  if (behind < from + 2) return 0;
  insideEnd = behind - 1;
  return from + 1;
}

function hex4(from: usize, end: usize): i32 {
  if (from + 4 > end) return -1;
  let n = 0;
  for (let i = 0; i < 4; i++) {
    let c: i32 = load<u8>(from + i);
    if (c >= 0x30 && c <= 0x39) c -= 0x30;
    else if (c >= 0x61 && c <= 0x66) c -= 0x61 - 10;
    else if (c >= 0x41 && c <= 0x46) c -= 0x41 - 10;
    else return -1;
    n = (n << 4) | c;
  }
  return n;
}

function utf8(to: usize, c: i32): usize {
  if (c < 0x80) {
    store<u8>(to, c);
    return to + 1;
  }
  if (c < 0x800) {
    store<u8>(to, 0xc0 | (c >> 6));
    store<u8>(to + 1, 0x80 | (c & 0x3f));
    return to + 2;
  }
  if (c < 0x10000) {
    store<u8>(to, 0xe0 | (c >> 12));
    store<u8>(to + 1, 0x80 | ((c >> 6) & 0x3f));
    store<u8>(to + 2, 0x80 | (c & 0x3f));
    return to + 3;
  }
  store<u8>(to, 0xf0 | (c >> 18));
  store<u8>(to + 1, 0x80 | ((c >> 12) & 0x3f));
  store<u8>(to + 2, 0x80 | ((c >> 6) & 0x3f));
  store<u8>(to + 3, 0x80 | (c & 0x3f));
  return to + 4;
}

/** Decodes the inside of a JSON string. It never becomes longer. A lone surrogate becomes U+FFFD. */
function unquote(from: usize, end: usize, to: usize): usize {
  while (from < end) {
    let c: i32 = load<u8>(from++);
    if (c != 0x5c || from == end) {
      store<u8>(to++, c);
      continue;
    }
    c = load<u8>(from++);
    if (c == 0x75) {
      let r = hex4(from, end);
      if (r >= 0) from += 4;
      if (r >= 0xd800 && r < 0xdc00 && from + 6 <= end && load<u8>(from) == 0x5c && load<u8>(from + 1) == 0x75) {
        const low = hex4(from + 2, end);
        if (low >= 0xdc00 && low < 0xe000) {
          r = 0x10000 + ((r - 0xd800) << 10) + (low - 0xdc00);
          from += 6;
        }
      }
      to = utf8(to, r < 0 || (r >= 0xd800 && r < 0xe000) ? 0xfffd : r);
      continue;
    }
    if (c == 0x62) c = 8;
    else if (c == 0x66) c = 12;
    else if (c == 0x6e) c = 10;
    else if (c == 0x72) c = 13;
    else if (c == 0x74) c = 9;
    store<u8>(to++, c);
  }
  return to;
}

/** What a string says, and of another value its JSON text. */
function stringAt(from: usize, end: usize): string {
  const start = inside(from, end);
  if (start == 0) return String.UTF8.decodeUnsafe(from, end - from);
  const stop = insideEnd;
  let escaped = false;
  for (let i = start; i < stop; i++) {
    if (load<u8>(i) == 0x5c) {
      escaped = true;
      break;
    }
  }
  if (!escaped) return String.UTF8.decodeUnsafe(start, stop - start);
  const decoded = new ArrayBuffer(<i32>(stop - start));
  const to = changetype<usize>(decoded);
  return String.UTF8.decodeUnsafe(to, unquote(start, stop, to) - to);
}

/** The text of a value, a string's without its quotes, from the place returned to plainEnd. */
let plainEnd: usize = 0;
function plain(from: usize, end: usize): usize {
  const start = inside(from, end);
  if (start != 0) {
    from = start;
    end = insideEnd;
  }
  from = space(from, end);
  while (end > from && isSpace(load<u8>(end - 1))) end--;
  plainEnd = end;
  return from;
}

// 10 to the n is exact up to 22.
const POWERS: StaticArray<f64> = [
  1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

function floatAt(from: usize, end: usize): f64 {
  from = plain(from, end);
  end = plainEnd;
  const begin = from;
  const negative = from < end && load<u8>(from) == 0x2d;
  if (negative) from++;
  let mantissa: u64 = 0;
  let exponent = 0;
  let seen = 0;
  let used = 0;
  let point = false;
  for (; from < end; from++) {
    const c = load<u8>(from);
    if (c == 0x2e && !point) {
      point = true;
      continue;
    }
    if (c < 0x30 || c > 0x39) break;
    seen++;
    if (point) exponent--;
    if (mantissa != 0 || c != 0x30) used++;
    if (used < 19) mantissa = mantissa * 10 + (c - 0x30);
  }
  if (seen == 0) return 0;
  if (from < end && (load<u8>(from) | 0x20) == 0x65) {
    from++;
    const down = from < end && load<u8>(from) == 0x2d;
    if (from < end && (down || load<u8>(from) == 0x2b)) from++;
    if (from == end) return 0;
    let e = 0;
    for (; from < end && load<u8>(from) >= 0x30 && load<u8>(from) <= 0x39; from++) {
      if (e < 100000) e = e * 10 + (load<u8>(from) - 0x30);
    }
    exponent += down ? -e : e;
  }
  if (from != end) return 0;
  if (used < 19 && mantissa <= <u64>1 << 53 && exponent >= -22 && exponent <= 22) {
    const whole = <f64>mantissa;
    const d = exponent < 0 ? whole / unchecked(POWERS[-exponent]) : whole * unchecked(POWERS[exponent]);
    return negative ? -d : d;
  }
  const d = parseFloat(String.UTF8.decodeUnsafe(begin, end - begin));
  return isFinite(d) ? d : 0;
}

function intAt(from: usize, end: usize): i64 {
  const begin = plain(from, end);
  const stop = plainEnd;
  let i = begin;
  const negative = i < stop && load<u8>(i) == 0x2d;
  if (negative) i++;
  let n: u64 = 0;
  let exact = i < stop;
  for (; i < stop; i++) {
    const c = load<u8>(i);
    if (c < 0x30 || c > 0x39 || n > 1844674407370955160) {
      exact = false;
      break;
    }
    n = n * 10 + (c - 0x30);
  }
  if (exact && n <= <u64>i64.MAX_VALUE + <u64>negative) return negative ? 0 - <i64>n : <i64>n;
  const d = floatAt(from, end); // 1e3 and 1.0 are integers too
  if (d >= 9223372036854775808.0) return i64.MAX_VALUE;
  if (d <= -9223372036854775808.0) return i64.MIN_VALUE;
  return <i64>d;
}

function isTrue(from: usize, end: usize): bool {
  return end - from == 4 && load<u32>(from) == 0x65757274;
}

/** Writes a text as a JSON string to room for 6 bytes a character and 2, and returns its end. */
function quote(s: string, to: usize): usize {
  store<u8>(to++, 0x22);
  const length = s.length;
  for (let i = 0; i < length; i++) {
    let c: i32 = s.charCodeAt(i);
    if (c == 0x22 || c == 0x5c) {
      store<u8>(to++, 0x5c);
      store<u8>(to++, c);
    } else if (c < 0x20) {
      store<u8>(to++, 0x5c);
      if (c == 10 || c == 13 || c == 9) {
        store<u8>(to++, c == 10 ? 0x6e : c == 13 ? 0x72 : 0x74);
        continue;
      }
      const low = c & 15;
      store<u8>(to, 0x75);
      store<u8>(to + 1, 0x30);
      store<u8>(to + 2, 0x30);
      store<u8>(to + 3, 0x30 + (c >> 4));
      store<u8>(to + 4, low < 10 ? 0x30 + low : 0x57 + low);
      to += 5;
    } else {
      if ((c & 0xf800) == 0xd800) {
        const next: i32 = i + 1 < length ? s.charCodeAt(i + 1) : 0;
        if (c < 0xdc00 && (next & 0xfc00) == 0xdc00) {
          c = 0x10000 + ((c - 0xd800) << 10) + (next - 0xdc00);
          i++;
        } else {
          c = 0xfffd;
        }
      }
      to = utf8(to, c);
    }
  }
  store<u8>(to, 0x22);
  return to + 1;
}

const digits = memory.data(64);

/** Writes a number as JavaScript does, and returns its end. */
function number(d: f64, to: usize): usize {
  const n = <usize>dtoa_buffered(digits, d);
  let count = n;
  if (count > 2 && load<u16>(digits + ((n - 1) << 1)) == 0x30 && load<u16>(digits + ((n - 2) << 1)) == 0x2e) count -= 2;
  for (let i: usize = 0; i < count; i++) store<u8>(to++, load<u16>(digits + (i << 1)));
  return to;
}

function integer(negative: bool, n: u64, to: usize): usize {
  if (negative) store<u8>(to++, 0x2d);
  let length = 1;
  for (let rest = n / 10; rest != 0; rest /= 10) length++;
  const end = to + length;
  let i = end;
  do {
    store<u8>(--i, 0x30 + <u8>(n % 10));
    n /= 10;
  } while (n != 0);
  return end;
}

/** A JSON value as its bytes stand, a string with its quotes. */
export class Value {
  constructor(
    private buffer: ArrayBuffer,
    private start: i32,
    private stop: i32,
  ) {}

  /** Takes JSON as it is. The host checks it when it is set. */
  static from(json: string): Value {
    const bytes = String.UTF8.encode(json);
    return new Value(bytes, 0, bytes.byteLength);
  }

  static get none(): Value {
    return new Value(new ArrayBuffer(0), 0, 0);
  }

  @inline get begin(): usize {
    return changetype<usize>(this.buffer) + this.start;
  }
  @inline get end(): usize {
    return changetype<usize>(this.buffer) + this.stop;
  }

  /** Whether the value is there, null included. */
  get exists(): bool {
    return this.stop > this.start;
  }

  /** The bytes as a text. */
  get json(): string {
    return String.UTF8.decodeUnsafe(this.begin, this.stop - this.start);
  }

  /** What a string says, of any other value its JSON text, "" where it is not there. */
  get string(): string {
    return stringAt(this.begin, this.end);
  }

  /** An integer, 0 for anything else. A string that holds one counts. */
  get int(): i64 {
    return intAt(this.begin, this.end);
  }

  /** A number, 0 for anything else. A string that holds one counts. */
  get float(): f64 {
    return floatAt(this.begin, this.end);
  }

  /** Whether the value is true. */
  get bool(): bool {
    return isTrue(this.begin, this.end);
  }

  /** The elements of an array, with empty keys, or the members of an object, in order:
   *  `for (const all = v.items(); all.next(); ) { all.key; all.value }` */
  items(): Items {
    return new Items(this.buffer, this.start, this.stop);
  }

  /** The value at a path below this one. Of duplicate keys the last counts. It looks at
   *  all of the bytes before it: for data, Message.get is faster. */
  get(path: string): Value {
    let v: Value = this;
    let i = 0;
    while (i < path.length) {
      let name = "";
      let closed = false;
      for (; i < path.length; i++) {
        let c = path.charAt(i);
        if (c == ".") {
          closed = true;
          i++;
          break;
        }
        if (c == "\\") {
          c = path.charAt(++i);
          if (c != "." && c != "\\") throw new Error('malformed path "' + path + '": a backslash that is not before a dot or a backslash');
        }
        name += c;
      }
      if (name.length == 0 || (closed && i == path.length)) throw new Error('malformed path "' + path + '": an empty segment');
      v = v.step(name);
    }
    return v;
  }

  private step(name: string): Value {
    const all = this.items();
    let found = Value.none;
    if (all.array) {
      for (let i = 0; i < name.length; i++) {
        const c = name.charCodeAt(i);
        if (c < 0x30 || c > 0x39) return found;
      }
      let index = I64.parseInt(name);
      while (all.next()) {
        if (index-- == 0) return all.value;
      }
      return found;
    }
    while (all.next()) {
      if (all.key == name) found = all.value;
    }
    return found;
  }
}

/** The elements of an array or the members of an object. */
export class Items {
  private at: i32;
  /** Whether they are an array's. */
  array: bool = false;
  private object: bool = false;
  /** The key of a member, "" in an array. */
  key: string = "";
  value: Value = Value.none;

  constructor(
    private buffer: ArrayBuffer,
    start: i32,
    private stop: i32,
  ) {
    const base = changetype<usize>(buffer);
    const from = space(base + start, base + stop);
    this.at = stop;
    if (from < base + stop) {
      const c = load<u8>(from);
      this.object = c == 0x7b;
      this.array = c == 0x5b;
      if (this.object || this.array) this.at = <i32>(from - base) + 1;
    }
  }

  /** Goes to the next one and tells whether there is one. */
  next(): bool {
    const base = changetype<usize>(this.buffer);
    const end = base + this.stop;
    let from = space(base + this.at, end);
    if (from < end && load<u8>(from) == 0x2c) from = space(from + 1, end);
    if (from >= end || load<u8>(from) == 0x7d || load<u8>(from) == 0x5d) return false;
    if (this.object) {
      const behind = skip(from, end);
      this.key = stringAt(from, behind);
      from = space(behind, end);
      if (from >= end || load<u8>(from) != 0x3a) return false;
      from = space(from + 1, end);
    }
    const behind = skip(from, end);
    if (behind == from) return false;
    this.at = <i32>(behind - base);
    this.value = new Value(this.buffer, <i32>(from - base), this.at);
    return true;
  }
}

// ---- The event ----

let emitted = false;
let failed = false;

function check(code: i32, what: string, name: string): void {
  if (code < 0) throw new Error(what + ' "' + name + '": ' + codeText(code));
}

/** What a code says. */
export function codeText(code: i32): string {
  switch (code) {
    case Code.OK:
      return "no error";
    case Code.NoPlace:
      return "no such place";
    case Code.Malformed:
      return "malformed path, name or value";
    case Code.NotAllowed:
      return "not allowed here";
  }
  return "over a limit of 64 results or 4 MiB";
}

/** The event on its way along a route. */
export class Message {
  /** The event's id. It never changes. */
  get id(): string {
    return field(2);
  }
  /** The type, such as "payment.completed". */
  get type(): string {
    return field(1);
  }
  set type(text: string) {
    check(this.tryWrite(Field.Type, text), "set type", text);
  }
  /** The name of the source block that took the event. */
  get source(): string {
    return field(3);
  }
  /** The subject, or "". */
  get subject(): string {
    return field(4);
  }
  set subject(text: string) {
    check(this.tryWrite(Field.Subject, text), "set subject", text);
  }
  /** The event's time in RFC 3339. */
  get time(): string {
    return field(5);
  }
  /** The content type of the data, or "". */
  get contentType(): string {
    return field(6);
  }
  /** To one that claims JSON only when the data is JSON already. */
  set contentType(text: string) {
    check(this.tryWrite(Field.ContentType, text), "set content type", text);
  }
  /** The name of the route. */
  get route(): string {
    return field(9);
  }
  /** The tenant, or "". */
  get tenant(): string {
    return field(10);
  }
  /** The data as a text. */
  get data(): string {
    return field(0);
  }
  /** Replaces all of the data. Under a content type that claims JSON it must be one JSON value. */
  set data(text: string) {
    check(this.tryWrite(Field.Data, text), "set", "data");
  }
  /** The data's bytes as they stand. */
  get bytes(): Uint8Array {
    readField(0);
    const copy = new Uint8Array(size);
    memory.copy(copy.dataStart, at, size);
    return copy;
  }
  set bytes(data: Uint8Array) {
    check(hostWrite(0, data.dataStart, data.byteLength), "set", "data");
  }
  /** The whole message: id, type, source, subject, time, header and data. */
  get json(): Value {
    readField(7);
    return value();
  }

  /** Writes a field and returns what became of it. */
  tryWrite(field: Field, text: string): Code {
    const bytes = String.UTF8.encode(text);
    return hostWrite(field, changetype<usize>(bytes), bytes.byteLength);
  }

  /** The value at a path of data. Forms and texts have values too: an object of strings, and a string. */
  get(path: string): Value {
    return readPath(path) ? value() : Value.none;
  }

  /** Whether there is a value at a path of data, null included. */
  has(path: string): bool {
    const length = encodeName(path);
    const n = hostGet(nameAt, length, 0, 0);
    if (n == Code.Malformed) throw new Error('malformed path "' + path + '"');
    return n >= 0;
  }

  /** The string at a path of data, of another value its JSON text, "" where there is none. */
  string(path: string): string {
    return readPath(path) ? stringAt(at, at + size) : "";
  }

  /** The integer at a path of data, 0 where there is none. */
  int(path: string): i64 {
    return readPath(path) ? intAt(at, at + size) : 0;
  }

  /** The number at a path of data, 0 where there is none. */
  float(path: string): f64 {
    return readPath(path) ? floatAt(at, at + size) : 0;
  }

  /** Whether the value at a path of data is true. */
  bool(path: string): bool {
    return readPath(path) && isTrue(at, at + size);
  }

  /** Puts a string, a bool, a number or a Value at a path of data. Objects that are missing
   *  on the way are made, and the index behind an array's last element appends. */
  set<T>(path: string, value: T): void {
    check(this.trySet<T>(path, value), "set", path);
  }

  /** As set, and returns what became of it. */
  trySet<T>(path: string, value: T): Code {
    const length = encodeName(path);
    let from = outgoing;
    let end = outgoing;
    if (isBoolean<T>()) {
      store<u32>(from, value ? 0x65757274 : 0x736c6166);
      store<u8>(from + 4, 0x65);
      end = from + (value ? 4 : 5);
    } else if (isInteger<T>()) {
      if (isSigned<T>()) end = integer(<i64>value < 0, <u64>(<i64>value < 0 ? 0 - <i64>value : <i64>value), from);
      else end = integer(false, <u64>value, from);
    } else if (isFloat<T>()) {
      if (!isFinite(<f64>value)) return Code.Malformed;
      end = number(<f64>value, from);
    } else if (isString<T>()) {
      const s = changetype<string>(value);
      from = room(s.length * 6 + 2);
      end = quote(s, from);
    } else if (value instanceof Value) {
      from = value.begin;
      end = value.end;
    } else {
      ERROR("a string, a bool, a number or a Value can be set");
    }
    return hostSet(nameAt, length, from, end - from);
  }

  /** Puts null at a path of data. */
  setNull(path: string): void {
    const length = encodeName(path);
    store<u32>(outgoing, 0x6c6c756e);
    check(hostSet(nameAt, length, outgoing, 4), "set", path);
  }

  /** Takes the value at a path out of data, and tells whether there was one. */
  remove(path: string): bool {
    const length = encodeName(path);
    const code = hostRemove(nameAt, length);
    if (code < Code.NoPlace) check(code, "remove", path);
    return code == Code.OK;
  }

  /** A header's value, repeated ones joined by ", ", or "". */
  header(name: string): string {
    const length = encodeName(name);
    const n = hostHeader(nameAt, length, incoming, ROOM);
    if (n < 0) return "";
    if (again(n)) hostHeader(nameAt, length, at, n);
    return text();
  }

  /** Sets a header that the receiver gets. */
  setHeader(name: string, value: string): void {
    check(this.trySetHeader(name, value), "set header", name);
  }

  /** As setHeader, and returns what became of it. */
  trySetHeader(name: string, value: string): Code {
    const length = encodeName(name);
    const bytes = String.UTF8.encode(value);
    return hostSetHeader(nameAt, length, changetype<usize>(bytes), bytes.byteLength);
  }

  /** Removes a header and tells whether there was one. */
  removeHeader(name: string): bool {
    const length = encodeName(name);
    return hostRemoveHeader(nameAt, length) == 0;
  }

  /** Adds the message as it stands to the results, then puts it back to what it was at
   *  first. After it only what was emitted counts. */
  emit(): void {
    const code = this.tryEmit();
    if (code < 0) throw new Error("emit: " + codeText(code));
  }

  /** As emit, and returns what became of it. */
  tryEmit(): Code {
    const code = hostEmit();
    if (code == Code.OK) emitted = true;
    return code;
  }
}

function field(n: i32): string {
  return readField(n) ? text() : "";
}

/** The value at a path of the plugin's config, all of it for "": null when it is unset. */
export function config(path: string = ""): Value {
  readField(8);
  return value().get(path);
}

/** Ends the event on this route with a text, whatever is returned afterwards:
 *  `return fail("no customer");` */
export function fail(text: string): Flow {
  failed = true;
  const bytes = String.UTF8.encode(text);
  hostFail(changetype<usize>(bytes), bytes.byteLength);
  return Flow.Drop;
}

/** Writes a line to the router's log. */
export function log(level: Level, text: string): void {
  const bytes = String.UTF8.encode(text);
  hostLog(level, changetype<usize>(bytes), bytes.byteLength);
}

/** Logs a line at level info. */
export function info(text: string): void {
  log(Level.Info, text);
}

/** Logs a line at level warn. */
export function warn(text: string): void {
  log(Level.Warn, text);
}

const eight = memory.data(8);

/** The time when the event was received, in milliseconds since 1970. Date.now() is not
 *  there: it asks for a JavaScript host. `new Date(now())` works. */
export function now(): i64 {
  wasiClock(0, 0, eight);
  return <i64>(load<u64>(eight) / 1000000);
}

/** A random number from 0 to below 1, seeded by the event's id. */
export function random(): f64 {
  wasiRandom(eight, 8);
  return <f64>(load<u64>(eight) >> 11) / 9007199254740992.0;
}

// ---- What the file that weir plugin build makes around a plugin calls ----

const message = new Message();

export function __begin(): Message {
  emitted = false;
  failed = false;
  return message;
}

export function __filtered(keep: bool): i32 {
  return failed ? -1 : keep ? 1 : 0;
}

export function __transformed(flow: Flow): i32 {
  if (failed) return -1;
  if (emitted) return 2;
  return flow == Flow.Drop ? 1 : 0;
}

export function __started(): i32 {
  return failed ? -1 : 0;
}

export function __panic(text: string, file: string, line: u32): void {
  const bytes = String.UTF8.encode("panic: " + text + " (" + file + ":" + line.toString() + ")");
  hostFail(changetype<usize>(bytes), bytes.byteLength);
  unreachable();
}
