// The conformance guest in AssemblyScript: what each SDK must be able to do, chosen
// by the type of the event. The events beside it say what must come of it.
import { Code, Flow, Level, Message, Value, config, fail, log, now, random } from "weir";

export function init(): void {
  if (config("refuse").bool) fail("refused by its config");
}

export function filter(m: Message): bool {
  const type = m.type;
  if (type == "filter.drop") return false;
  if (type == "filter.fail") fail("the filter gives up");
  if (type == "filter.change") m.set("changed", true);
  if (type == "filter.panic") throw new Error("broken filter");
  return true;
}

export function transform(m: Message): Flow {
  const type = m.type;
  if (type == "do.fields") {
    m.set("saw.id", m.id);
    m.set("saw.type", m.type);
    m.set("saw.source", m.source);
    m.set("saw.subject", m.subject);
    m.set("saw.tenant", m.tenant);
    m.set("saw.time", m.time);
    m.set("saw.route", m.route);
    m.set("saw.content_type", m.contentType);
  } else if (type == "do.get") {
    m.set("saw.text", m.string("text"));
    m.set("saw.count", m.int("count"));
    m.set("saw.ratio", m.float("ratio"));
    m.set("saw.yes", m.bool("yes"));
    m.set("saw.null", m.has("nothing"));
    m.set("saw.escaped", m.string("a\\.b.1.c\\\\d"));
    m.set("saw.unicode", m.string("größe"));
    m.set("saw.whole", String.UTF8.byteLength(m.get("").get("text").string));
    m.set("saw.big", m.get("big"));
    m.set("saw.exact", m.get("exact"));
  } else if (type == "do.missing") {
    m.set("saw.there", m.has("nope"));
    m.set("saw.text", m.string("nope"));
    m.set("saw.count", m.int("nope.deeper"));
    m.set("saw.ratio", m.float("list.7"));
    m.set("saw.yes", m.bool("text.below"));
    m.set("saw.header", m.header("x-none"));
    m.set("saw.removed", m.remove("nope"));
  } else if (type == "do.set") {
    m.set("text", 'é "quoted" \\ \n\x01 😀');
    m.set<i64>("int", 9007199254740993);
    m.set("negative", -7);
    m.set("float", 1.5);
    m.set("large", 1e21);
    m.set("yes", true);
    m.set("no", false);
    m.setNull("nothing");
    m.set("made.on.the.way", 1);
    m.set("list.2", "appended");
    m.set("list.0", Value.from('{"raw": 1.0}'));
  } else if (type == "do.remove") {
    m.set("saw.there", m.remove("secret"));
    m.set("saw.inside", m.remove("list.1"));
    m.set("saw.again", m.remove("secret"));
  } else if (type == "do.walk") {
    let sum: i64 = 0;
    for (const all = m.get("items").items(); all.next(); ) sum += all.value.get("n").int;
    const keys: string[] = [];
    for (const all = m.get("names").items(); all.next(); ) keys.push(all.key + "=" + all.value.string);
    m.set("saw.sum", sum);
    m.set("saw.keys", keys.join(" "));
  } else if (type == "do.headers") {
    m.set("saw.one", m.header("X-One"));
    m.set("saw.repeated", m.header("x-many"));
    m.setHeader("X-New", "new");
    m.setHeader("x-one", "changed");
    m.set("saw.now", m.header("x-ONE"));
    m.set("saw.removed", m.removeHeader("X-Two"));
    m.set("saw.again", m.removeHeader("x-two"));
  } else if (type == "do.write") {
    m.type = "done.written";
    m.subject = "the subject";
    m.contentType = "text/plain";
    m.data = "plain é";
  } else if (type == "do.unset") {
    m.subject = "";
  } else if (type == "do.bytes") {
    const before = m.bytes;
    const after = new Uint8Array(before.length + 2);
    after.set(before);
    after[before.length] = 0xff;
    after[before.length + 1] = <u8>before.length;
    m.bytes = after;
  } else if (type == "do.form") {
    m.data = "hello=" + m.string("name");
  } else if (type == "do.large") {
    m.set("saw.length", m.string("text").length);
  } else if (type == "do.message") {
    m.set("saw.type", m.json.get("type").string);
    m.set("saw.name", m.json.get("data.name").string);
  } else if (type == "do.clock") {
    m.set("saw.now", now());
    m.set("saw.random", random() != random() && random() < 1);
  } else if (type == "do.config") {
    m.set("saw.limit", config("limit").int);
    m.set("saw.second", config("names.1").string);
    m.set("saw.missing", config("nope").exists);
  } else if (type == "do.split") {
    for (const all = m.get("items").items(); all.next(); ) {
      m.set("item", all.value);
      m.remove("items");
      m.emit();
    }
  } else if (type == "do.drop") {
    return Flow.Drop;
  } else if (type == "do.emit-drop") {
    m.set("first", true);
    m.emit();
    m.set("second", true);
    return Flow.Drop;
  } else if (type == "do.fail") {
    return fail("no customer é");
  } else if (type == "do.emit-fail") {
    m.emit();
    return fail("after an emit");
  } else if (type == "do.log") {
    log(Level.Trace, "a trace");
    log(Level.Debug, "a detail");
    log(Level.Info, "said é");
    log(Level.Warn, "be warned");
    log(Level.Error, "an error");
  } else if (type == "do.panic") {
    throw new Error("broken: 7");
  } else if (type == "do.bad-path") {
    m.get("a..b");
  } else if (type == "do.reserved") {
    m.setHeader("Authorization", "x");
  } else if (type == "do.no-place") {
    m.set("text.below", 1);
  } else if (type == "do.malformed") {
    m.type = "";
  } else if (type == "do.too-many") {
    while (m.tryEmit() == Code.OK) {}
    m.emit();
  }
  return Flow.Send;
}
