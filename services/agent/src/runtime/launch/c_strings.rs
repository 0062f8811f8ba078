//! Strings for `execve`.

use std::ffi::CString;
use std::ptr;

use crate::runtime::error::{Result, RuntimeError};

/// NUL-terminated strings with the NULL-terminated array of pointers that `execve` takes.
pub struct Strings {
    _owned: Vec<CString>,
    pointers: Vec<*const libc::c_char>,
}

impl Strings {
    pub fn new(strings: Vec<CString>) -> Self {
        let mut pointers: Vec<_> = strings.iter().map(|string| string.as_ptr()).collect();
        pointers.push(ptr::null());
        Self { _owned: strings, pointers }
    }

    /// The array.
    pub fn as_ptr(&self) -> *const *const libc::c_char {
        self.pointers.as_ptr()
    }

    /// The pointers without the NULL at the end.
    pub fn each(&self) -> &[*const libc::c_char] {
        self.pointers.split_last().map_or(&[], |(_, strings)| strings)
    }
}

/// All of `strings`, each with its NUL.
pub fn c_strings(strings: &[String]) -> Result<Vec<CString>> {
    strings.iter().map(|string| c_string(string)).collect()
}

/// A string with its NUL. Errors: it contains a NUL byte.
pub fn c_string(string: &str) -> Result<CString> {
    CString::new(string).map_err(|_| RuntimeError::InvalidSpec("a string of the process contains a NUL byte".into()))
}
