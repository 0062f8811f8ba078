//! The only caller of waitpid.
//!
//! PID 1 inherits every orphan, so it must wait for any child, and a second caller would take exits away. A process may exit
//! before its starter knows its PID, so exits of unknown PIDs are kept while a start is in progress ([`Reaper::starting`]).
//! Otherwise they are dropped: a process that exited before a start began is not the one being started, but the kernel may reuse
//! its PID.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use rustix::process::{WaitOptions, wait};

use crate::sync::lock;

/// The most exits of unknown PIDs that are kept.
const UNKNOWN_LIMIT: usize = 4096;

/// The exit of a process, from waitpid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code; 128 + signal if a signal ended the process.
    pub code: i32,
    /// The signal, or 0.
    pub signal: i32,
    /// When it was reaped.
    pub at: SystemTime,
}

type OnExit = Box<dyn FnOnce(Exit) + Send>;

/// Passes exits to the starters of the processes.
#[derive(Clone, Default)]
pub struct Reaper {
    table: Arc<Mutex<Table>>,
}

#[derive(Default)]
struct Table {
    waiting: HashMap<i32, OnExit>,
    unknown: VecDeque<(i32, Exit)>,
    starting: usize,
}

/// While this exists, exits of unknown PIDs are kept.
pub struct Starting {
    reaper: Reaper,
}

impl Reaper {
    /// Announces a start. Keep the result until the PID is given to [`Reaper::watch`].
    pub fn starting(&self) -> Starting {
        lock(&self.table).starting += 1;
        Starting { reaper: self.clone() }
    }

    /// Calls `on_exit` once, when `pid` has exited; immediately if it has exited already. The call is made while the process is
    /// reaped, before the kernel can reuse the PID.
    pub fn watch(&self, _starting: &Starting, pid: i32, on_exit: impl FnOnce(Exit) + Send + 'static) {
        let mut table = lock(&self.table);
        match table.unknown.iter().position(|(known, _)| *known == pid) {
            Some(index) => {
                let found = table.unknown.remove(index);
                drop(table);
                if let Some((_, exit)) = found {
                    on_exit(exit);
                }
            }
            None => {
                table.waiting.insert(pid, Box::new(on_exit));
            }
        }
    }

    /// Records an exit.
    pub fn record(&self, pid: i32, exit: Exit) {
        let mut table = lock(&self.table);
        if let Some(on_exit) = table.waiting.remove(&pid) {
            drop(table);
            on_exit(exit);
        } else if table.starting > 0 {
            if table.unknown.len() >= UNKNOWN_LIMIT {
                table.unknown.pop_front();
            }
            table.unknown.push_back((pid, exit));
        }
    }

    /// Reaps every child that has ended, without blocking.
    pub fn reap(&self) {
        let options = WaitOptions::NOHANG | WaitOptions::from_bits_retain(libc::__WALL as u32);
        while let Ok(Some((pid, status))) = wait(options) {
            if let Some(exit) = decode(status.as_raw()) {
                self.record(pid.as_raw_nonzero().get(), exit);
            }
        }
    }
}

fn decode(status: i32) -> Option<Exit> {
    let at = SystemTime::now();
    if libc::WIFEXITED(status) {
        return Some(Exit { code: libc::WEXITSTATUS(status), signal: 0, at });
    }
    let signal = libc::WIFSIGNALED(status).then(|| libc::WTERMSIG(status))?;
    Some(Exit { code: 128 + signal, signal, at })
}

impl Drop for Starting {
    fn drop(&mut self) {
        let mut table = lock(&self.reaper.table);
        table.starting -= 1;
        if table.starting == 0 {
            table.unknown.clear();
        }
    }
}

#[cfg(test)]
#[path = "reaper_test.rs"]
mod tests;
