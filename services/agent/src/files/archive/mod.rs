//! Tar archives: POSIX pax. [`walk`] writes the archive of a tree, [`extract`] reads one into a directory.
//!
//! The `tar` crate encodes and decodes the blocks of headers. What follows them is done here, since all of it needs bounds: pax
//! records, holes (format 1.0 of GNU tar), the order of a tree, and the files.

mod attributes;
pub mod extract;
mod header;
mod holes;
mod links;
mod pax;
mod place;
mod reader;
pub mod walk;

#[cfg(test)]
#[path = "fuzz_test.rs"]
mod fuzz_tests;
