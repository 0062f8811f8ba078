//! Tests on the real kernel, in a fresh network namespace, as root.

mod fixture;
mod hostile;
mod interfaces;
mod routes;
