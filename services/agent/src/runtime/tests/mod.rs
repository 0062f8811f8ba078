//! Real containers, seen from within and from outside. These tests need root, and busybox-static.

mod devices;
mod escapes;
mod fixture;
mod isolation;
mod lifecycle;
mod mounting;
mod processes;
mod terminals;
mod tracers;
mod users;
