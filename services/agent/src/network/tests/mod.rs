//! The network of a fresh namespace, changed by the real kernel, as root.

mod fixture;
mod hostile;
mod interfaces;
mod routes;
