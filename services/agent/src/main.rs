//! The agent of a Paddock guest: PID 1, and the server at the guest's end of the link.

mod agent;
mod container;
mod events;
mod files;
mod forward;
#[cfg(test)]
mod fuzzing;
mod link;
mod log;
mod machine;
mod network;
mod operations;
mod pb;
mod process;
mod rpc;
mod runtime;
mod serve;
mod sync;
mod uevent;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    // A stage is this binary, executed again. It must have only one thread.
    runtime::stage::dispatch(&arguments);
    match serve::run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::warn("main", &error.to_string());
            ExitCode::FAILURE
        }
    }
}
