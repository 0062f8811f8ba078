//! The agent's log: one line per entry, to the kernel's ring if the agent is PID 1, otherwise to stderr.
//!
//! The console is slow (each character is an exit to the host) and a tenant cannot read the kernel's ring, so entries go to the
//! ring. No entry contains arguments, environments or bytes of processes.

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
    // There is nowhere to report a failure of the log itself.
    let _ = match KERNEL.get() {
        Some(mut kernel) => kernel.write_all(format!("<{level}>paddock-agent {part}: {text}\n").as_bytes()),
        None => std::io::stderr().write_all(format!("paddock-agent {part}: {text}\n").as_bytes()),
    };
}
