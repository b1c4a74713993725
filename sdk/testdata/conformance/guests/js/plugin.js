// The conformance guest in JavaScript: what each SDK must be able to do, chosen by
// the type of the event. The events beside it say what must come of it.
import { config, drop, fail, path } from "weir";

if (config?.refuse) fail("refused by its config");

export function filter(event) {
  switch (event.type) {
    case "filter.drop":
      return false;
    case "filter.fail":
      fail("the filter gives up");
    case "filter.change":
      event.set("changed", true);
      break;
    case "filter.panic":
      throw new Error("broken filter");
  }
  return true;
}

export function transform(event) {
  const saw = (name, value) => event.set("saw." + name, value);
  switch (event.type) {
    case "do.fields":
      saw("id", event.id);
      saw("type", event.type);
      saw("source", event.source);
      saw("subject", event.subject ?? "");
      saw("tenant", event.tenant ?? "");
      saw("time", event.time);
      saw("route", event.route);
      saw("content_type", event.contentType ?? "");
      break;
    case "do.get":
      saw("text", event.get("text"));
      saw("count", event.get("count"));
      saw("ratio", event.get("ratio"));
      saw("yes", event.get("yes"));
      saw("null", event.has("nothing"));
      saw("escaped", event.get(path("a.b", 1, "c\\d")));
      saw("unicode", event.get("größe"));
      saw("whole", new Blobless(event.data.text).size);
      event.setRaw("saw.big", event.getRaw("big"));
      event.setRaw("saw.exact", event.getRaw("exact"));
      break;
    case "do.missing":
      saw("there", event.has("nope"));
      saw("text", event.get("nope") ?? "");
      saw("count", event.get("nope.deeper") ?? 0);
      saw("ratio", event.get("list.7") ?? 0);
      saw("yes", event.get("text.below") ?? false);
      saw("header", event.header("x-none") ?? "");
      saw("removed", event.remove("nope"));
      break;
    case "do.set":
      event.set("text", 'é "quoted" \\ \n\x01 😀');
      event.set("int", 9007199254740993n);
      event.set("negative", -7);
      event.set("float", 1.5);
      event.set("large", 1e21);
      event.set("yes", true);
      event.set("no", false);
      event.set("nothing", null);
      event.set("made.on.the.way", 1);
      event.set("list.2", "appended");
      event.setRaw("list.0", '{"raw": 1.0}');
      break;
    case "do.remove":
      saw("there", event.remove("secret"));
      saw("inside", event.remove("list.1"));
      saw("again", event.remove("secret"));
      break;
    case "do.walk":
      saw("sum", event.get("items").reduce((sum, item) => sum + (item.n ?? 0), 0));
      saw("keys", Object.entries(event.get("names")).map(([key, value]) => key + "=" + value).join(" "));
      break;
    case "do.headers":
      saw("one", event.header("X-One"));
      saw("repeated", event.header("x-many"));
      event.setHeader("X-New", "new");
      event.setHeader("x-one", "changed");
      saw("now", event.header("x-ONE"));
      saw("removed", event.removeHeader("X-Two"));
      saw("again", event.removeHeader("x-two"));
      break;
    case "do.write":
      event.type = "done.written";
      event.subject = "the subject";
      event.contentType = "text/plain";
      event.data = "plain é";
      break;
    case "do.unset":
      event.subject = undefined;
      break;
    case "do.bytes":
      event.bytes = Uint8Array.of(...event.bytes, 0xff, event.bytes.length);
      break;
    case "do.form":
      event.bytes = Uint8Array.from("hello=" + event.get("name"), (c) => c.charCodeAt(0));
      break;
    case "do.large":
      saw("length", event.get("text").length);
      break;
    case "do.message":
      saw("type", event.toJSON().type);
      saw("name", event.toJSON().data.name);
      break;
    case "do.clock":
      saw("now", Date.now());
      saw("random", Math.random() !== Math.random() && Math.random() < 1);
      break;
    case "do.config":
      saw("limit", config.limit);
      saw("second", config.names[1]);
      saw("missing", config.nope !== undefined);
      break;
    case "do.split":
      for (const item of event.get("items")) {
        event.set("item", item);
        event.remove("items");
        event.emit();
      }
      break;
    case "do.drop":
      return false;
    case "do.emit-drop":
      event.set("first", true);
      event.emit();
      event.set("second", true);
      drop();
    case "do.fail":
      fail("no customer é");
    case "do.emit-fail":
      event.emit();
      fail("after an emit");
    case "do.log":
      console.trace("a trace");
      console.debug("a detail");
      console.log("said é");
      console.warn("be warned");
      console.error("an error");
      break;
    case "do.panic":
      throw new Error("broken: 7");
    case "do.bad-path":
      event.get("a..b");
      break;
    case "do.reserved":
      event.setHeader("Authorization", "x");
      break;
    case "do.no-place":
      event.set("text.below", 1);
      break;
    case "do.malformed":
      event.type = "";
      break;
    case "do.too-many":
      for (let n = 0; n < 65; n++) event.emit();
  }
}

// Blobless counts the bytes of a text.
class Blobless {
  constructor(text) {
    this.size = unescape(encodeURIComponent(text)).length;
  }
}
