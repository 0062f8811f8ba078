//! Copies, removals and watches in real directories. These tests need root.

mod changes;
mod fixture;
mod hostile;
mod limits;
mod round_trip;
mod transfers;
mod tree;
