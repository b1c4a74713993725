use crate::number;
use std::borrow::Cow;

/// A JSON value as its bytes stand, a string with its quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value<'a>(Cow<'a, [u8]>);

impl Value<'static> {
    /// Takes JSON as it is. The host checks it when it is set.
    pub fn from_json(json: impl Into<Vec<u8>>) -> Self {
        Value(Cow::Owned(json.into()))
    }
}

impl<'a> Value<'a> {
    /// The bytes.
    pub fn json(&self) -> &[u8] {
        &self.0
    }

    /// What a string says, and of any other value its JSON text.
    pub fn string(&self) -> String {
        string(&self.0)
    }

    /// An integer, 0 for anything else. A string that holds one counts.
    pub fn int(&self) -> i64 {
        int(&self.0)
    }

    /// A number, 0 for anything else. A string that holds one counts.
    pub fn float(&self) -> f64 {
        float(&self.0)
    }

    /// Whether the value is true.
    pub fn bool(&self) -> bool {
        *self.0 == *b"true"
    }

    /// The value at a path below this one. Of duplicate keys the last counts. It
    /// looks at all of the bytes before it: for data, `Message::get` is faster.
    #[track_caller]
    pub fn get(&self, path: &str) -> Option<Value<'_>> {
        let mut at = Some(&*self.0);
        let mut rest = Some(path).filter(|p| !p.is_empty());
        while let Some(path) = rest {
            let (name, tail) = segment(path);
            rest = tail;
            at = at.and_then(|json| step(json, &name));
        }
        at.map(|json| Value(Cow::Borrowed(json)))
    }

    /// The elements of an array, with empty keys, or the members of an object, in
    /// order. Anything else has none.
    pub fn items(&self) -> Items<'_> {
        items(&self.0)
    }

    /// The same value with bytes of its own.
    pub fn into_owned(self) -> Value<'static> {
        Value(Cow::Owned(self.0.into_owned()))
    }
}

/// What can be put at a path.
pub trait ToJson {
    /// Appends the value as JSON and reports whether JSON has it.
    fn append_json(&self, to: &mut Vec<u8>) -> bool;
}

impl ToJson for Value<'_> {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        to.extend_from_slice(&self.0);
        true
    }
}

impl ToJson for str {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        append_string(self, to);
        true
    }
}

impl ToJson for String {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        self.as_str().append_json(to)
    }
}

impl ToJson for bool {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        to.extend_from_slice(if *self { b"true" } else { b"false" });
        true
    }
}

/// Null.
impl ToJson for () {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        to.extend_from_slice(b"null");
        true
    }
}

impl ToJson for f64 {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        number::append(*self, to)
    }
}

macro_rules! integers {
    ($($t:ty)*) => { $(
        impl ToJson for $t {
            fn append_json(&self, to: &mut Vec<u8>) -> bool {
                number::push(to, format_args!("{}", self));
                true
            }
        }
    )* };
}
integers!(i8 i16 i32 i64 isize u8 u16 u32 u64 usize);

impl<T: ToJson> ToJson for Option<T> {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        match self {
            Some(value) => value.append_json(to),
            None => ().append_json(to),
        }
    }
}

impl<T: ToJson> ToJson for [T] {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        to.push(b'[');
        for (n, value) in self.iter().enumerate() {
            if n > 0 {
                to.push(b',');
            }
            if !value.append_json(to) {
                return false;
            }
        }
        to.push(b']');
        true
    }
}

impl<T: ToJson> ToJson for Vec<T> {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        self.as_slice().append_json(to)
    }
}

impl<T: ToJson + ?Sized> ToJson for &T {
    fn append_json(&self, to: &mut Vec<u8>) -> bool {
        (**self).append_json(to)
    }
}

/// The elements of an array or the members of an object.
pub struct Items<'a> {
    json: &'a [u8],
    at: usize,
    object: bool,
}

impl<'a> Iterator for Items<'a> {
    type Item = (String, Value<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, value) = self.advance()?;
        Some((key.map(string).unwrap_or_default(), Value(Cow::Borrowed(value))))
    }
}

impl<'a> Items<'a> {
    /// The next key, as it stands, and value.
    fn advance(&mut self) -> Option<(Option<&'a [u8]>, &'a [u8])> {
        let json = self.json;
        let mut at = space(json, self.at);
        if json.get(at) == Some(&b',') {
            at = space(json, at + 1);
        }
        if matches!(json.get(at), None | Some(b'}') | Some(b']')) {
            self.at = json.len();
            return None;
        }
        let mut key = None;
        if self.object {
            let end = skip(json, at);
            key = Some(&json[at..end]);
            at = space(json, end);
            if json.get(at) != Some(&b':') {
                return None;
            }
            at = space(json, at + 1);
        }
        let end = skip(json, at);
        self.at = end;
        Some((key, &json[at..end])).filter(|_| end > at)
    }
}

fn items(json: &[u8]) -> Items<'_> {
    let at = space(json, 0);
    match json.get(at) {
        Some(b'{') => Items {
            json,
            at: at + 1,
            object: true,
        },
        Some(b'[') => Items {
            json,
            at: at + 1,
            object: false,
        },
        _ => Items {
            json,
            at: json.len(),
            object: false,
        },
    }
}

/// The member or element called name.
fn step<'a>(json: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let mut all = items(json);
    if !all.object {
        let mut index: usize = name.parse().ok()?;
        while let Some((_, value)) = all.advance() {
            if index == 0 {
                return Some(value);
            }
            index -= 1;
        }
        return None;
    }
    let mut found = None;
    while let Some((key, value)) = all.advance() {
        if key.map_or(false, |key| is_string(key, name)) {
            found = Some(value);
        }
    }
    found
}

/// Whether a JSON string says text, mostly without decoding it.
fn is_string(json: &[u8], text: &str) -> bool {
    if json.contains(&b'\\') {
        return string(json) == text;
    }
    json.len() == text.len() + 2 && &json[1..json.len() - 1] == text.as_bytes()
}

/// Takes the first segment off a path.
#[track_caller]
fn segment(path: &str) -> (String, Option<&str>) {
    let mut name = String::new();
    let mut chars = path.char_indices();
    let mut rest = None;
    while let Some((at, c)) = chars.next() {
        match c {
            '.' => {
                rest = Some(&path[at + 1..]);
                break;
            }
            '\\' => match chars.next() {
                Some((_, c)) if c == '.' || c == '\\' => name.push(c),
                _ => panic!(
                    "malformed path {:?}: a backslash that is not before a dot or a backslash",
                    path
                ),
            },
            c => name.push(c),
        }
    }
    if name.is_empty() || rest == Some("") {
        panic!("malformed path {:?}: an empty segment", path);
    }
    (name, rest)
}

fn space(json: &[u8], mut at: usize) -> usize {
    while matches!(json.get(at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

/// The offset behind the value at an offset. The host has checked that it is JSON.
fn skip(json: &[u8], mut at: usize) -> usize {
    let mut depth = 0;
    while at < json.len() {
        match json[at] {
            b'"' => {
                at += 1;
                while at < json.len() && json[at] != b'"' {
                    at += if json[at] == b'\\' { 2 } else { 1 };
                }
                at = json.len().min(at + 1);
            }
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                if depth == 0 {
                    return at;
                }
                depth -= 1;
                at += 1;
            }
            b',' | b':' | b' ' | b'\n' | b'\r' | b'\t' => {
                if depth == 0 {
                    return at;
                }
                at += 1;
                continue;
            }
            _ => {
                while at < json.len() && !matches!(json[at], b',' | b':' | b'}' | b']' | b' ' | b'\n' | b'\r' | b'\t') {
                    at += 1;
                }
            }
        }
        if depth == 0 {
            return at;
        }
    }
    at
}

/// The inside of a JSON string, escapes and all.
fn inside(json: &[u8]) -> Option<&[u8]> {
    let at = space(json, 0);
    if json.get(at) != Some(&b'"') {
        return None;
    }
    let end = skip(json, at);
    json.get(at + 1..end.checked_sub(1)?)
}

/// What a string says, and of any other value its JSON text.
pub fn string(json: &[u8]) -> String {
    match inside(json) {
        None => utf8(json.to_vec()),
        Some(text) if text.contains(&b'\\') => utf8(unquote(text)),
        Some(text) => utf8(text.to_vec()),
    }
}

/// Bytes as a text. What is not UTF-8 is replaced.
pub fn utf8(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
}

/// The text of a value, a string's without its quotes. No number has escapes.
fn plain(json: &[u8]) -> &str {
    std::str::from_utf8(inside(json).unwrap_or(json))
        .map_or("", |text| text.trim_matches(|c| matches!(c, ' ' | '\n' | '\r' | '\t')))
}

pub fn int(json: &[u8]) -> i64 {
    let text = plain(json);
    // 1e3 and 1.0 are integers too.
    text.parse()
        .unwrap_or_else(|_| number::parse(text).unwrap_or_default() as i64)
}

pub fn float(json: &[u8]) -> f64 {
    number::parse(plain(json)).unwrap_or_default()
}

/// Decodes the inside of a JSON string. A lone surrogate becomes U+FFFD.
fn unquote(text: &[u8]) -> Vec<u8> {
    let mut to = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        if text[at] != b'\\' || at + 1 == text.len() {
            to.push(text[at]);
            at += 1;
            continue;
        }
        at += 2;
        to.push(match text[at - 1] {
            b'b' => 8,
            b'f' => 12,
            b'n' => b'\n',
            b'r' => b'\r',
            b't' => b'\t',
            b'u' => {
                let mut code = hex(text, at).unwrap_or(0xFFFD);
                at += 4;
                if (0xD800..0xDC00).contains(&code) && text.get(at..at + 2) == Some(b"\\u") {
                    if let Some(low) = hex(text, at + 2).filter(|low| (0xDC00..0xE000).contains(low)) {
                        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
                        at += 6;
                    }
                }
                let c = char::from_u32(code).unwrap_or('\u{FFFD}');
                to.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                continue;
            }
            c => c,
        });
    }
    to
}

fn hex(text: &[u8], at: usize) -> Option<u32> {
    let digits = text.get(at..at + 4)?;
    digits
        .iter()
        .try_fold(0, |n, &c| Some(n * 16 + (c as char).to_digit(16)?))
}

fn append_string(text: &str, to: &mut Vec<u8>) {
    to.push(b'"');
    let mut from = 0;
    for (at, c) in text.bytes().enumerate() {
        let escape = match c {
            b'"' | b'\\' => c,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0..=0x1F => b'u',
            _ => continue,
        };
        to.extend_from_slice(&text.as_bytes()[from..at]);
        from = at + 1;
        to.extend_from_slice(&[b'\\', escape]);
        if escape == b'u' {
            number::push(to, format_args!("{:04x}", c));
        }
    }
    to.extend_from_slice(&text.as_bytes()[from..]);
    to.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOC: &str = r#" { "a" : { "b" : [ 1, "two", {"c": 1.5e1 } ] , "t":true}, "x.y": "\"q\"", "dup":1, "dup": 2, "n\u0061me": "\ud83d\ude00\ud83d" } "#;

    #[test]
    fn values() {
        let v = Value::from_json(DOC);
        for (path, want) in [
            ("a.b.0", "1"),
            ("a.b.1", "two"),
            ("a.b.2.c", "1.5e1"),
            ("a.t", "true"),
            (r"x\.y", r#""q""#),
            ("dup", "2"),
            ("name", "\u{1F600}\u{FFFD}"),
        ] {
            assert_eq!(v.get(path).map(|v| v.string()).as_deref(), Some(want), "{}", path);
        }
        for path in ["b", "a.b.3", "a.b.x", "a.t.x", "dup.0"] {
            assert_eq!(v.get(path), None, "{}", path);
        }
        assert_eq!(v.get("a.b.2.c").map(|v| (v.int(), v.float())), Some((15, 15.0)));
        let keys: Vec<String> = v.items().map(|(key, _)| key).collect();
        assert_eq!(keys, ["a", "x.y", "dup", "dup", "name"]);
        assert_eq!(Value::from_json("3").items().count(), 0);
        assert_eq!(Value::from_json("[]").items().count(), 0);
    }

    #[test]
    fn texts() {
        let mut to = Vec::new();
        assert!("a\"\\\n\u{1}é".append_json(&mut to));
        assert_eq!(to, "\"a\\\"\\\\\\n\\u0001é\"".as_bytes());
        to.clear();
        assert!(vec![Some(1), None].append_json(&mut to));
        assert_eq!(to, b"[1,null]");
    }

    #[test]
    #[should_panic(expected = "an empty segment")]
    fn malformed_path() {
        Value::from_json("{}").get("a..b");
    }
}
