//! The host's functions, and the buffer that reads go to first.

use crate::{Error, Result};
use std::cell::UnsafeCell;

pub const DATA: i32 = 0;
pub const TYPE: i32 = 1;
pub const ID: i32 = 2;
pub const SOURCE: i32 = 3;
pub const SUBJECT: i32 = 4;
pub const TIME: i32 = 5;
pub const CONTENT_TYPE: i32 = 6;
pub const MESSAGE: i32 = 7;
pub const CONFIG: i32 = 8;
pub const ROUTE: i32 = 9;
pub const TENANT: i32 = 10;

#[cfg(target_arch = "wasm32")]
mod import {
    #[link(wasm_import_module = "weir")]
    extern "C" {
        pub fn read(field: i32, at: *mut u8, room: usize) -> i32;
        pub fn write(field: i32, at: *const u8, size: usize) -> i32;
        pub fn get(path: *const u8, path_size: usize, at: *mut u8, room: usize) -> i32;
        pub fn set(path: *const u8, path_size: usize, at: *const u8, size: usize) -> i32;
        pub fn remove(path: *const u8, path_size: usize) -> i32;
        pub fn header(name: *const u8, name_size: usize, at: *mut u8, room: usize) -> i32;
        pub fn set_header(name: *const u8, name_size: usize, at: *const u8, size: usize) -> i32;
        pub fn remove_header(name: *const u8, name_size: usize) -> i32;
        pub fn emit() -> i32;
        pub fn log(level: i32, at: *const u8, size: usize);
        pub fn fail(at: *const u8, size: usize);
    }
}

/// Outside of WebAssembly reads find nothing and changes are not allowed.
#[cfg(not(target_arch = "wasm32"))]
mod import {
    const NOTHING: i32 = -1;
    const NOT_ALLOWED: i32 = -3;
    pub unsafe fn read(_: i32, _: *mut u8, _: usize) -> i32 {
        NOTHING
    }
    pub unsafe fn write(_: i32, _: *const u8, _: usize) -> i32 {
        NOT_ALLOWED
    }
    pub unsafe fn get(_: *const u8, _: usize, _: *mut u8, _: usize) -> i32 {
        NOTHING
    }
    pub unsafe fn set(_: *const u8, _: usize, _: *const u8, _: usize) -> i32 {
        NOT_ALLOWED
    }
    pub unsafe fn remove(_: *const u8, _: usize) -> i32 {
        NOTHING
    }
    pub unsafe fn header(_: *const u8, _: usize, _: *mut u8, _: usize) -> i32 {
        NOTHING
    }
    pub unsafe fn set_header(_: *const u8, _: usize, _: *const u8, _: usize) -> i32 {
        NOT_ALLOWED
    }
    pub unsafe fn remove_header(_: *const u8, _: usize) -> i32 {
        NOTHING
    }
    pub unsafe fn emit() -> i32 {
        NOT_ALLOWED
    }
    pub unsafe fn log(_: i32, _: *const u8, _: usize) {}
    pub unsafe fn fail(_: *const u8, _: usize) {}
}

/// A static that one thread uses at a time.
struct Own<T>(UnsafeCell<T>);

// A guest has one thread; elsewhere there is no host that would write.
unsafe impl<T> Sync for Own<T> {}

const ROOM: usize = 4096;
static SCRATCH: Own<[u8; ROOM]> = Own(UnsafeCell::new([0; ROOM]));
static BUFFER: Own<Vec<u8>> = Own(UnsafeCell::new(Vec::new()));

/// Calls a reading import, mostly once, and shows what it wrote. `Err` is its code.
fn pull<R>(call: impl Fn(*mut u8, usize) -> i32, look: impl FnOnce(&[u8]) -> R) -> Result<R, i32> {
    let at = SCRATCH.0.get() as *mut u8;
    let n = call(at, ROOM);
    if n < 0 {
        return Err(n);
    }
    let n = n as usize;
    if n <= ROOM {
        // Safe since the host wrote n bytes, and look can't call pull: it is given
        // only by this crate.
        return Ok(look(unsafe { std::slice::from_raw_parts(at, n) }));
    }
    let mut large = vec![0; n];
    call(large.as_mut_ptr(), n);
    Ok(look(&large))
}

pub fn read(field: i32) -> Option<Vec<u8>> {
    pull(|at, room| unsafe { import::read(field, at, room) }, <[u8]>::to_vec).ok()
}

pub fn get<R>(path: &str, look: impl FnOnce(&[u8]) -> R) -> Result<R, i32> {
    pull(
        |at, room| unsafe { import::get(path.as_ptr(), path.len(), at, room) },
        look,
    )
}

/// The size of the value at a path, or a negative code.
pub fn size(path: &str) -> i32 {
    unsafe { import::get(path.as_ptr(), path.len(), std::ptr::null_mut(), 0) }
}

pub fn header(name: &str) -> Option<Vec<u8>> {
    pull(
        |at, room| unsafe { import::header(name.as_ptr(), name.len(), at, room) },
        <[u8]>::to_vec,
    )
    .ok()
}

pub fn write(field: i32, value: &[u8]) -> Result<()> {
    change(unsafe { import::write(field, value.as_ptr(), value.len()) })
}

pub fn set(path: &str, value: &[u8]) -> Result<()> {
    change(unsafe { import::set(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}

pub fn remove(path: &str) -> Result<()> {
    change(unsafe { import::remove(path.as_ptr(), path.len()) })
}

pub fn set_header(name: &str, value: &str) -> Result<()> {
    change(unsafe { import::set_header(name.as_ptr(), name.len(), value.as_ptr(), value.len()) })
}

pub fn remove_header(name: &str) -> Result<()> {
    change(unsafe { import::remove_header(name.as_ptr(), name.len()) })
}

pub fn emit() -> Result<()> {
    change(unsafe { import::emit() })
}

pub fn log(level: i32, text: &str) {
    unsafe { import::log(level, text.as_ptr(), text.len()) }
}

pub fn fail(text: &str) {
    unsafe { import::fail(text.as_ptr(), text.len()) }
}

fn change(code: i32) -> Result<()> {
    match code {
        0..=i32::MAX => Ok(()),
        -1 => Err(Error::NoPlace),
        -2 => Err(Error::Malformed),
        -3 => Err(Error::NotAllowed),
        _ => Err(Error::Limit),
    }
}

/// Lends a buffer that keeps its memory, so that most changes allocate nothing.
pub fn with_buffer<R>(f: impl FnOnce(&mut Vec<u8>) -> R) -> R {
    // Taken out while it is lent: f may ask for one too, and gets another.
    let mut buffer = std::mem::take(unsafe { &mut *BUFFER.0.get() });
    buffer.clear();
    let result = f(&mut buffer);
    unsafe { *BUFFER.0.get() = buffer };
    result
}
