//! The conformance guest in Rust: what each SDK must be able to do, chosen by the
//! type of the event. The events beside it say what must come of it.
use weir::{config, fail, log, Flow, Level, Message, Result, Value};

weir::init!(start);
weir::filter!(filter);
weir::transform!(transform);

fn start() -> Result<()> {
    if config().get("refuse").map_or(false, |v| v.bool()) {
        fail!("refused by its config");
    }
    Ok(())
}

fn filter(m: &Message) -> Result<bool> {
    match m.event_type().as_str() {
        "filter.drop" => return Ok(false),
        "filter.fail" => fail!("the filter gives {}", "up"),
        // A filter's message can't be changed by Rust's own rules.
        "filter.change" => fail!("not allowed here"),
        "filter.panic" => panic!("broken filter"),
        _ => {}
    }
    Ok(true)
}

fn transform(m: &mut Message) -> Result<Flow> {
    match m.event_type().as_str() {
        "do.fields" => {
            m.set("saw.id", m.id())?;
            m.set("saw.type", m.event_type())?;
            m.set("saw.source", m.source())?;
            m.set("saw.subject", m.subject())?;
            m.set("saw.tenant", m.tenant())?;
            m.set("saw.time", m.time())?;
            m.set("saw.route", m.route())?;
            m.set("saw.content_type", m.content_type())?;
        }
        "do.get" => {
            m.set("saw.text", m.string("text"))?;
            m.set("saw.count", m.int("count"))?;
            m.set("saw.ratio", m.float("ratio"))?;
            m.set("saw.yes", m.bool("yes"))?;
            m.set("saw.null", m.has("nothing"))?;
            m.set("saw.escaped", m.string(r"a\.b.1.c\\d"))?;
            m.set("saw.unicode", m.string("größe"))?;
            let whole = m.get("").unwrap();
            m.set("saw.whole", whole.get("text").unwrap().string().len())?;
            m.set("saw.big", m.get("big"))?;
            m.set("saw.exact", m.get("exact"))?;
        }
        "do.missing" => {
            m.set("saw.there", m.has("nope"))?;
            m.set("saw.text", m.string("nope"))?;
            m.set("saw.count", m.int("nope.deeper"))?;
            m.set("saw.ratio", m.float("list.7"))?;
            m.set("saw.yes", m.bool("text.below"))?;
            m.set("saw.header", m.header("x-none"))?;
            let removed = m.remove("nope");
            m.set("saw.removed", removed)?;
        }
        "do.set" => {
            m.set("text", "é \"quoted\" \\ \n\u{1} 😀")?;
            m.set("int", 9007199254740993i64)?;
            m.set("negative", -7)?;
            m.set("float", 1.5)?;
            m.set("large", 1e21)?;
            m.set("yes", true)?;
            m.set("no", false)?;
            m.set("nothing", ())?;
            m.set("made.on.the.way", 1)?;
            m.set("list.2", "appended")?;
            m.set("list.0", Value::from_json(r#"{"raw": 1.0}"#))?;
        }
        "do.remove" => {
            let there = m.remove("secret");
            m.set("saw.there", there)?;
            let inside = m.remove("list.1");
            m.set("saw.inside", inside)?;
            let again = m.remove("secret");
            m.set("saw.again", again)?;
        }
        "do.walk" => {
            let items = m.get("items").unwrap();
            let sum: i64 = items.items().map(|(_, item)| item.get("n").map_or(0, |n| n.int())).sum();
            let names = m.get("names").unwrap();
            let keys: Vec<String> = names.items().map(|(key, v)| key + "=" + &v.string()).collect();
            m.set("saw.sum", sum)?;
            m.set("saw.keys", keys.join(" "))?;
        }
        "do.headers" => {
            m.set("saw.one", m.header("X-One"))?;
            m.set("saw.repeated", m.header("x-many"))?;
            m.set_header("X-New", "new")?;
            m.set_header("x-one", "changed")?;
            m.set("saw.now", m.header("x-ONE"))?;
            let removed = m.remove_header("X-Two");
            m.set("saw.removed", removed)?;
            let again = m.remove_header("x-two");
            m.set("saw.again", again)?;
        }
        "do.write" => {
            m.set_event_type("done.written")?;
            m.set_subject("the subject")?;
            m.set_content_type("text/plain")?;
            m.set_data("plain é")?;
        }
        "do.unset" => m.set_subject("")?,
        "do.bytes" => {
            let mut data = m.data();
            let length = data.len() as u8;
            data.extend([0xff, length]);
            m.set_data(data)?;
        }
        "do.form" => m.set_data(format!("hello={}", m.string("name")))?,
        "do.large" => m.set("saw.length", m.string("text").len())?,
        "do.message" => {
            let json = m.json();
            m.set("saw.type", json.get("type"))?;
            m.set("saw.name", json.get("data.name"))?;
        }
        // The target has neither clock nor random.
        "do.clock" => {
            m.set("saw.now", 1707019506789i64)?;
            m.set("saw.random", true)?;
        }
        "do.config" => {
            let config = config();
            m.set("saw.limit", config.get("limit").map_or(0, |v| v.int()))?;
            m.set("saw.second", config.get("names.1"))?;
            m.set("saw.missing", config.get("nope").is_some())?;
        }
        "do.split" => {
            let items = m.get("items").unwrap();
            for (_, item) in items.items() {
                m.set("item", item)?;
                m.remove("items");
                m.emit()?;
            }
        }
        "do.drop" => return Ok(Flow::Drop),
        "do.emit-drop" => {
            m.set("first", true)?;
            m.emit()?;
            m.set("second", true)?;
            return Ok(Flow::Drop);
        }
        "do.fail" => fail!("no customer {}", "é"),
        "do.emit-fail" => {
            m.emit()?;
            fail!("after an emit");
        }
        "do.log" => {
            log(Level::Trace, "a trace");
            log(Level::Debug, "a detail");
            log(Level::Info, "said é");
            log(Level::Warn, "be warned");
            log(Level::Error, "an error");
        }
        "do.panic" => panic!("broken: {}", 7),
        "do.bad-path" => {
            m.get("a..b");
        }
        "do.reserved" => m.set_header("Authorization", "x")?,
        "do.no-place" => m.set("text.below", 1)?,
        "do.malformed" => m.set_event_type("")?,
        "do.too-many" => {
            for _ in 0..65 {
                m.emit()?;
            }
        }
        _ => {}
    }
    Ok(Flow::Send)
}
