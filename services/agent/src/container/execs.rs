//! The execs of one container. Ended ones are remembered for a while.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::error::ContainerError;
use crate::process::Process;

/// The most execs that may run at a time, including those that are starting.
pub const LIVE_LIMIT: usize = 512;
/// The most ended execs whose status and output are remembered. The one that ended first is forgotten first.
pub const ENDED_LIMIT: usize = 1024;

/// The table.
#[derive(Default)]
pub struct Execs {
    starting: BTreeSet<String>,
    known: BTreeMap<String, Arc<Process>>,
    ended: VecDeque<String>,
}

impl Execs {
    /// Reserves an id for a process that is about to be started.
    pub fn reserve(&mut self, container: &str, exec: &str) -> Result<(), ContainerError> {
        if exec == container || self.known.contains_key(exec) || self.starting.contains(exec) {
            return Err(ContainerError::ProcessExists { container: container.to_owned(), exec: exec.to_owned() });
        }
        if self.known.len() - self.ended.len() + self.starting.len() >= LIVE_LIMIT {
            return Err(ContainerError::TooManyProcesses { id: container.to_owned(), limit: LIVE_LIMIT });
        }
        self.starting.insert(exec.to_owned());
        Ok(())
    }

    /// Frees a reserved id if nothing was started.
    pub fn cancel(&mut self, exec: &str) {
        self.starting.remove(exec);
    }

    /// Replaces the reservation with the process.
    pub fn insert(&mut self, process: Arc<Process>) {
        self.starting.remove(&process.exec_id);
        self.known.insert(process.exec_id.clone(), process);
    }

    /// Records the exit of a process, and forgets the oldest ended processes above the limit.
    pub fn ended(&mut self, exec: &str) {
        if !self.known.contains_key(exec) {
            return;
        }
        self.ended.push_back(exec.to_owned());
        if self.ended.len() > ENDED_LIMIT
            && let Some(oldest) = self.ended.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// One process.
    pub fn get(&self, exec: &str) -> Option<Arc<Process>> {
        self.known.get(exec).cloned()
    }

    /// All processes: ended ones first, in the order in which they ended.
    pub fn all(&self) -> Vec<Arc<Process>> {
        let ended = self.ended.iter().filter_map(|exec| self.get(exec));
        let live = self.known.values().filter(|process| process.ended().is_none());
        ended.chain(live.cloned()).collect()
    }
}
