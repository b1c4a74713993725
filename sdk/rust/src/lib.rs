//! The SDK for Weir plugins in Rust.
//!
//! ```
//! use weir::{Flow, Message, Result};
//!
//! weir::transform!(hide);
//!
//! fn hide(m: &mut Message) -> Result<Flow> {
//!     if m.bool("account.test") {
//!         return Ok(Flow::Drop);
//!     }
//!     m.remove("account.password");
//!     m.set("account.email", "hidden")?;
//!     Ok(Flow::Send)
//! }
//! ```
//!
//! Values are read and changed by paths: segments parted by dots, where digits are
//! an index in an array (`items.0.price`), `\.` is a dot and `\\` a backslash in a
//! key. The host finds them, without parsing the rest, and every byte that is not
//! changed stays.
//!
//! A path that can't be read is a mistake in the plugin: it panics. A panic becomes
//! an error with its text, file and line, ends the event on this route only, and
//! never reaches the router.
//!
//! The crate has no dependencies and needs Rust 1.63. On platforms other than
//! WebAssembly it compiles, for tests of your own functions, but there is no host:
//! every read finds nothing and every change fails.

mod host;
mod message;
mod number;
mod value;

pub use message::Message;
pub use value::{Items, ToJson, Value};

use std::fmt;

/// What a transform does with the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// The message as it stands is sent, or what was emitted.
    Send,
    /// Nothing is sent, or what was emitted.
    Drop,
}

/// Why something could not be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// The path leads through something that is neither object nor array, or past
    /// the end of an array, or the event's data is not JSON.
    NoPlace,
    /// The path, the name or the value can't be read, or a source would not take
    /// such a type, subject or content type from a producer.
    Malformed,
    /// A filter can't change the message, and some headers and types are the
    /// router's own.
    NotAllowed,
    /// More than 64 results or 4 MiB.
    Limit,
    /// The plugin's own reason.
    Text(String),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Error::NoPlace => "no such place",
            Error::Malformed => "malformed path, name or value",
            Error::NotAllowed => "not allowed here",
            Error::Limit => "over a limit of 64 results or 4 MiB",
            Error::Text(text) => text,
        })
    }
}

impl std::error::Error for Error {}

impl From<&str> for Error {
    fn from(text: &str) -> Self {
        Error::Text(text.to_string())
    }
}

impl From<String> for Error {
    fn from(text: String) -> Self {
        Error::Text(text)
    }
}

/// The result of most functions. A handler may have any other error that can be
/// displayed.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Returns with an error whose text is formatted as by [`format!`].
#[macro_export]
macro_rules! fail {
    ($($text:tt)*) => { return ::std::result::Result::Err(::std::convert::From::from(::std::format!($($text)*))) };
}

/// Makes a function the plugin's filter. It takes a `&Message` and returns a `bool`
/// that is true to keep the event, or a `Result` of one.
#[macro_export]
macro_rules! filter {
    ($f:expr) => {
        #[no_mangle]
        pub extern "C" fn weir_filter() -> i32 {
            $crate::call::filter($f)
        }
    };
}

/// Makes a function the plugin's transform. It takes a `&mut Message` and returns a
/// [`Flow`], or nothing for [`Flow::Send`], or a `Result` of either.
#[macro_export]
macro_rules! transform {
    ($f:expr) => {
        #[no_mangle]
        pub extern "C" fn weir_transform() -> i32 {
            $crate::call::transform($f)
        }
    };
}

/// Makes a function what runs once, before the first event. It can read the config
/// and log, no more, and refuses the config with an error.
#[macro_export]
macro_rules! init {
    ($f:expr) => {
        #[no_mangle]
        pub extern "C" fn weir_init() -> i32 {
            $crate::call::init($f)
        }
    };
}

/// Says which version of the ABI the module speaks.
#[cfg(target_arch = "wasm32")]
#[no_mangle]
pub extern "C" fn weir_abi_v1() {}

/// What the macros call.
#[doc(hidden)]
pub mod call {
    use super::{host, Flow, Message};
    use std::fmt::Display;
    use std::sync::Once;

    /// What a filter may return.
    pub trait Keep {
        fn keep(self) -> Result<bool, String>;
    }
    impl Keep for bool {
        fn keep(self) -> Result<bool, String> {
            Ok(self)
        }
    }
    impl<E: Display> Keep for Result<bool, E> {
        fn keep(self) -> Result<bool, String> {
            self.map_err(|e| e.to_string())
        }
    }

    /// What a transform may return.
    pub trait Flows {
        fn flow(self) -> Result<Flow, String>;
    }
    impl Flows for Flow {
        fn flow(self) -> Result<Flow, String> {
            Ok(self)
        }
    }
    impl Flows for () {
        fn flow(self) -> Result<Flow, String> {
            Ok(Flow::Send)
        }
    }
    impl<T: Flows, E: Display> Flows for Result<T, E> {
        fn flow(self) -> Result<Flow, String> {
            self.map_err(|e| e.to_string()).and_then(T::flow)
        }
    }

    pub fn filter<R: Keep>(f: impl FnOnce(&Message) -> R) -> i32 {
        hook();
        match f(&Message::new()).keep() {
            Ok(keep) => keep as i32,
            Err(text) => failed(&text),
        }
    }

    pub fn transform<R: Flows>(f: impl FnOnce(&mut Message) -> R) -> i32 {
        hook();
        let mut m = Message::new();
        match (f(&mut m).flow(), m.has_emitted()) {
            (Err(text), _) => failed(&text),
            (Ok(_), true) => 2,
            (Ok(Flow::Drop), false) => 1,
            (Ok(Flow::Send), false) => 0,
        }
    }

    pub fn init<E: Display>(f: impl FnOnce() -> Result<(), E>) -> i32 {
        hook();
        match f() {
            Ok(()) => 0,
            Err(e) => failed(&e.to_string()),
        }
    }

    fn failed(text: &str) -> i32 {
        host::fail(text);
        -1
    }

    /// Panics abort: their text is given to the host before they do.
    fn hook() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            std::panic::set_hook(Box::new(|info| {
                let payload = info.payload();
                let text = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
                    (Some(text), _) => text,
                    (_, Some(text)) => text.as_str(),
                    _ => "a value that is no text",
                };
                host::fail(&match info.location() {
                    Some(at) => format!("panic: {} ({}:{})", text, at.file(), at.line()),
                    None => format!("panic: {}", text),
                });
            }));
        });
    }
}

/// How urgent a log line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace = 1,
    Debug,
    Info,
    Warn,
    Error,
}

/// Writes a line to the router's log.
pub fn log(level: Level, text: impl AsRef<str>) {
    host::log(level as i32, text.as_ref());
}

/// Logs a line at level info.
pub fn info(text: impl AsRef<str>) {
    log(Level::Info, text);
}

/// Logs a line at level warn.
pub fn warn(text: impl AsRef<str>) {
    log(Level::Warn, text);
}

/// The plugin's config, as the plugin block has it: null when it is unset.
pub fn config() -> Value<'static> {
    Value::from_json(host::read(host::CONFIG).unwrap_or_default())
}
