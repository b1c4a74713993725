use crate::value::{self, ToJson, Value};
use crate::{host, Error, Result};

/// The event on its way along a route.
pub struct Message {
    emitted: bool,
}

impl Message {
    pub(crate) fn new() -> Self {
        Message { emitted: false }
    }

    pub(crate) fn has_emitted(&self) -> bool {
        self.emitted
    }

    /// The event's id. It never changes.
    pub fn id(&self) -> String {
        field(host::ID)
    }

    /// The type, such as "payment.completed".
    pub fn event_type(&self) -> String {
        field(host::TYPE)
    }

    /// The name of the source block that took the event.
    pub fn source(&self) -> String {
        field(host::SOURCE)
    }

    /// The subject, or "".
    pub fn subject(&self) -> String {
        field(host::SUBJECT)
    }

    /// The tenant, or "".
    pub fn tenant(&self) -> String {
        field(host::TENANT)
    }

    /// The event's time in RFC 3339.
    pub fn time(&self) -> String {
        field(host::TIME)
    }

    /// The name of the route.
    pub fn route(&self) -> String {
        field(host::ROUTE)
    }

    /// The content type of the data, or "".
    pub fn content_type(&self) -> String {
        field(host::CONTENT_TYPE)
    }

    /// The data's bytes as they stand.
    pub fn data(&self) -> Vec<u8> {
        host::read(host::DATA).unwrap_or_default()
    }

    /// The whole message: id, type, source, subject, time, header and data.
    pub fn json(&self) -> Value<'static> {
        Value::from_json(host::read(host::MESSAGE).unwrap_or_default())
    }

    /// Changes the type, which the receiver sees.
    pub fn set_event_type(&mut self, text: &str) -> Result<()> {
        host::write(host::TYPE, text.as_bytes())
    }

    /// Changes the subject.
    pub fn set_subject(&mut self, text: &str) -> Result<()> {
        host::write(host::SUBJECT, text.as_bytes())
    }

    /// Changes the content type. To one that claims JSON only when the data is JSON
    /// already.
    pub fn set_content_type(&mut self, text: &str) -> Result<()> {
        host::write(host::CONTENT_TYPE, text.as_bytes())
    }

    /// Replaces all of the data. Under a content type that claims JSON it must be
    /// one JSON value.
    pub fn set_data(&mut self, data: impl AsRef<[u8]>) -> Result<()> {
        host::write(host::DATA, data.as_ref())
    }

    /// The value at a path of data. Forms and texts have values too: an object of
    /// strings, and a string.
    #[track_caller]
    pub fn get(&self, path: &str) -> Option<Value<'static>> {
        look(path, |json| Value::from_json(json.to_vec()))
    }

    /// Whether there is a value at a path of data, null included.
    #[track_caller]
    pub fn has(&self, path: &str) -> bool {
        match host::size(path) {
            -2 => malformed(path),
            n => n >= 0,
        }
    }

    /// The string at a path of data, of another value its JSON text, "" where there
    /// is none.
    #[track_caller]
    pub fn string(&self, path: &str) -> String {
        look(path, value::string).unwrap_or_default()
    }

    /// The integer at a path of data, 0 where there is none.
    #[track_caller]
    pub fn int(&self, path: &str) -> i64 {
        look(path, value::int).unwrap_or_default()
    }

    /// The number at a path of data, 0 where there is none.
    #[track_caller]
    pub fn float(&self, path: &str) -> f64 {
        look(path, value::float).unwrap_or_default()
    }

    /// Whether the value at a path of data is true.
    #[track_caller]
    pub fn bool(&self, path: &str) -> bool {
        look(path, |json| json == b"true").unwrap_or_default()
    }

    /// Puts a value at a path of data: a string, a bool, a number, `()` for null, a
    /// list of them, or a [`Value`]. Objects that are missing on the way are made,
    /// and the index behind an array's last element appends.
    pub fn set(&mut self, path: &str, value: impl ToJson) -> Result<()> {
        host::with_buffer(|json| {
            if !value.append_json(json) {
                return Err(Error::Malformed);
            }
            host::set(path, json)
        })
    }

    /// Takes the value at a path out of data, and tells whether there was one.
    #[track_caller]
    pub fn remove(&mut self, path: &str) -> bool {
        match host::remove(path) {
            Ok(()) => true,
            Err(Error::NoPlace) => false,
            Err(e) => panic!("remove {:?}: {}", path, e),
        }
    }

    /// A header's value, repeated ones joined by ", ", or "".
    pub fn header(&self, name: &str) -> String {
        host::header(name).map(value::utf8).unwrap_or_default()
    }

    /// Sets a header that the receiver gets.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<()> {
        host::set_header(name, value)
    }

    /// Removes a header and tells whether there was one.
    pub fn remove_header(&mut self, name: &str) -> bool {
        host::remove_header(name).is_ok()
    }

    /// Adds the message as it stands to the results, then puts it back to what it
    /// was at first. After it only what was emitted counts.
    pub fn emit(&mut self) -> Result<()> {
        host::emit()?;
        self.emitted = true;
        Ok(())
    }
}

fn field(field: i32) -> String {
    host::read(field).map(value::utf8).unwrap_or_default()
}

#[track_caller]
fn look<R>(path: &str, f: impl FnOnce(&[u8]) -> R) -> Option<R> {
    match host::get(path, f) {
        Ok(result) => Some(result),
        Err(-2) => malformed(path),
        Err(_) => None,
    }
}

#[track_caller]
fn malformed(path: &str) -> ! {
    panic!("malformed path {:?}", path)
}
