//! The agent's log: one line for each entry, on the kernel's ring when the agent is PID 1, else on stderr.
//!
//! The console is slow (each character is an exit to the host) and a tenant cannot read the kernel's ring, so entries
//! go to the ring. No entry holds arguments, environments or bytes of processes.

use std::fs::File;
use std::io::Write;
use std::sync::OnceLock;

static KERNEL: OnceLock<File> = OnceLock::new();

/// Sends entries to the kernel's ring from now on.
pub fn use_kernel_ring() {
    if let Ok(file) = File::options().write(true).open("/dev/kmsg") {
        let _ = KERNEL.set(file);
    }
}

/// Logs a fact for the operator.
pub fn info(part: &str, text: &str) {
    write(6, part, text);
}

/// Logs a failure that the agent survives.
pub fn warn(part: &str, text: &str) {
    write(4, part, text);
}

fn write(level: u8, part: &str, text: &str) {
    let text = text.replace(['\n', '\r'], " ");
    // The log has nowhere to report its own failure.
    let _ = match KERNEL.get() {
        Some(mut kernel) => kernel.write_all(format!("<{level}>paddock-agent {part}: {text}\n").as_bytes()),
        None => std::io::stderr().write_all(format!("paddock-agent {part}: {text}\n").as_bytes()),
    };
}
