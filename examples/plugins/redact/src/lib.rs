//! Takes fields out of events, or puts something else in their place, by paths that
//! the config names. A `*` in a path stands for every element of an array or member
//! of an object: `items.*.card.number`.
use weir::{config, fail, Flow, Message, Result, Value};

weir::init!(check);
weir::transform!(redact);

/// Refuses a config that would redact nothing, or that can't be read.
fn check() -> Result<()> {
    let config = config();
    let fields = config.get("fields");
    let mut all = fields.iter().flat_map(|f| f.items()).peekable();
    if all.peek().is_none() {
        fail!("config: fields is a list of paths, such as [\"customer.email\", \"items.*.card\"]");
    }
    for (_, field) in all {
        if field.string().is_empty() {
            fail!("config: fields has an empty path, which would be all of the event");
        }
    }
    Ok(())
}

fn redact(m: &mut Message) -> Result<Flow> {
    let config = config();
    let instead = config.get("replace");
    if let Some(fields) = config.get("fields") {
        for (_, field) in fields.items() {
            each(m, "", &field.string(), instead.as_ref())?;
        }
    }
    Ok(Flow::Send)
}

/// Redacts what a path leads to below a place that has no `*` any more.
fn each(m: &mut Message, place: &str, path: &str, instead: Option<&Value>) -> Result<()> {
    let (head, tail) = match path.strip_prefix("*") {
        Some("") => ("", Some("")),
        Some(rest) if rest.starts_with('.') => ("", Some(&rest[1..])),
        _ => match path.find(".*") {
            Some(at) if path[at + 2..].is_empty() => (&path[..at], Some("")),
            Some(at) if path[at + 2..].starts_with('.') => (&path[..at], Some(&path[at + 3..])),
            _ => (path, None),
        },
    };
    let at = join(place, head);
    let rest = match tail {
        Some(rest) => rest,
        None => return one(m, &at, instead),
    };
    let list = match m.get(&at) {
        Some(list) => list,
        None => return Ok(()),
    };
    // From the last to the first: what is taken out of an array moves those behind it.
    let names: Vec<String> = list
        .items()
        .enumerate()
        .map(|(n, (key, _))| if is_array(&list) { n.to_string() } else { escape(&key) })
        .collect();
    for name in names.iter().rev() {
        let item = join(&at, name);
        if rest.is_empty() {
            one(m, &item, instead)?;
        } else {
            each(m, &item, rest, instead)?;
        }
    }
    Ok(())
}

fn one(m: &mut Message, path: &str, instead: Option<&Value>) -> Result<()> {
    match instead {
        None => {
            m.remove(path);
        }
        // What is not there must not appear.
        Some(value) if m.has(path) => m.set(path, value.clone())?,
        Some(_) => {}
    }
    Ok(())
}

fn is_array(v: &Value) -> bool {
    v.json().first() == Some(&b'[')
}

fn join(a: &str, b: &str) -> String {
    match (a, b) {
        ("", _) => b.to_string(),
        (_, "") => a.to_string(),
        _ => format!("{}.{}", a, b),
    }
}

/// A key as it is written in a path.
fn escape(key: &str) -> String {
    key.replace('\\', "\\\\").replace('.', "\\.")
}
