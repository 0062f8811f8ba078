//! What works on files at the moment, and the transfers that can be continued.
//!
//! ```text
//!   begin --> running --stream breaks--> waiting --60 s--> given up
//!                ^                          |
//!                +------another stream------+
//! ```
//!
//! Everything that has a descriptor of a container's file has an [`Entry`], which names its container. A container is removed once
//! all its entries are gone, so that its disks are free.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::cancel::Cancel;
use super::error::{FileError, Result};
use super::incoming::Incoming;
use super::outgoing::Outgoing;
use crate::sync::{lock, until};

/// Most transfers whose threads run.
pub const TRANSFERS: usize = 8;
/// Most transfers that have ended and whose end can still be asked for.
const ENDED: usize = 8;
/// Most watches.
pub const WATCHES: usize = 16;
/// Most other calls, including those that wait for a thread.
pub const CALLS: usize = 64;

/// The kind of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    Call,
    Transfer,
    Watch,
}

impl Work {
    fn limit(self) -> (usize, &'static str) {
        match self {
            Self::Call => (CALLS, "calls about files"),
            Self::Transfer => (TRANSFERS, "transfers of files"),
            Self::Watch => (WATCHES, "watches of files"),
        }
    }
}

/// The table.
#[derive(Default)]
pub struct Registry {
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Default)]
struct Table {
    entries: HashMap<u64, (Work, String, Cancel)>,
    closing: HashSet<String>,
    /// By the client's id.
    transfers: HashMap<String, Transfer>,
    number: u64,
}

/// A transfer that can be continued.
#[derive(Clone)]
pub struct Transfer {
    /// Distinguishes it from another one of the same id. Rises.
    pub number: u64,
    pub container: String,
    pub path: String,
    pub bytes: Direction,
}

/// The bytes of a transfer.
#[derive(Clone)]
pub enum Direction {
    From(Arc<Outgoing>),
    To(Arc<Incoming>),
}

impl Direction {
    /// Ends the transfer.
    pub fn cancel(&self) -> &Cancel {
        match self {
            Self::From(outgoing) => &outgoing.cancel,
            Self::To(incoming) => &incoming.cancel,
        }
    }

    /// Whether no later stream has joined.
    pub fn is_last(&self, stream: u64) -> bool {
        match self {
            Self::From(outgoing) => outgoing.is_last(stream),
            Self::To(incoming) => incoming.is_last(stream),
        }
    }

    fn has_ended(&self) -> bool {
        match self {
            Self::From(outgoing) => outgoing.has_ended(),
            Self::To(incoming) => incoming.has_ended(),
        }
    }
}

/// Work that is in progress. It ends when this is dropped.
pub struct Entry {
    registry: Arc<Registry>,
    number: u64,
}

impl Registry {
    /// Notes that work begins. Refuses it when too much is in progress, or when the container is being removed.
    pub fn enter(self: &Arc<Self>, work: Work, container: &str, cancel: &Cancel) -> Result<Entry> {
        let mut table = lock(&self.table);
        if table.closing.contains(container) {
            return Err(FileError::Closed);
        }
        let (limit, what) = work.limit();
        if table.entries.values().filter(|(other, ..)| *other == work).count() >= limit {
            return Err(FileError::TooMany { what, limit });
        }
        table.number += 1;
        let number = table.number;
        table.entries.insert(number, (work, container.to_owned(), cancel.clone()));
        Ok(Entry { registry: self.clone(), number })
    }

    /// Remembers a transfer under its id, unless that is empty. One that had the id is given up.
    pub fn remember(&self, id: &str, container: &str, path: &str, bytes: Direction) -> Transfer {
        let mut table = lock(&self.table);
        table.number += 1;
        let number = table.number;
        let transfer = Transfer { number, container: container.to_owned(), path: path.to_owned(), bytes };
        if id.is_empty() {
            return transfer;
        }
        let before = table.transfers.insert(id.to_owned(), transfer.clone());
        let surplus = table.forget_ended();
        drop(table);
        before.iter().chain(&surplus).for_each(|transfer| transfer.bytes.cancel().cancel());
        transfer
    }

    /// The transfer of an id.
    pub fn find(&self, id: &str, container: &str, path: &str) -> Result<Transfer> {
        let table = lock(&self.table);
        let found = table.transfers.get(id).filter(|found| found.container == container && found.path == path);
        found.cloned().ok_or_else(|| FileError::TransferNotFound(id.to_owned()))
    }

    /// Gives a transfer up, unless another stream than `stream` has joined it.
    pub fn give_up(&self, id: &str, number: u64, stream: u64) {
        let mut table = lock(&self.table);
        let is_it = |found: &Transfer| found.number == number && found.bytes.is_last(stream);
        if table.transfers.get(id).is_some_and(is_it)
            && let Some(transfer) = table.transfers.remove(id)
        {
            drop(table);
            transfer.bytes.cancel().cancel();
        }
    }

    /// Ends all work on a container's files, and refuses new work until the result is dropped. Returns when none is in progress.
    pub async fn close(self: &Arc<Self>, container: &str) -> Closing {
        let closing = Closing { registry: self.clone(), container: container.to_owned() };
        self.begin_closing(container).iter().for_each(Cancel::cancel);
        let is_idle = || lock(&self.table).entries.values().all(|(_, of, _)| of != container).then_some(());
        until(&self.changed, is_idle).await;
        closing
    }

    /// Refuses new work on a container's files, and returns how to end what is in progress.
    fn begin_closing(&self, container: &str) -> Vec<Cancel> {
        let mut table = lock(&self.table);
        table.closing.insert(container.to_owned());
        table.transfers.retain(|_, transfer| transfer.container != container);
        let concerned = table.entries.values().filter(|(_, of, _)| of == container);
        concerned.map(|(.., cancel)| cancel.clone()).collect()
    }
}

impl Table {
    /// Forgets the oldest transfers that have ended, above the limit.
    fn forget_ended(&mut self) -> Vec<Transfer> {
        let mut ended: Vec<_> = self
            .transfers
            .iter()
            .filter(|(_, transfer)| transfer.bytes.has_ended())
            .map(|(id, transfer)| (transfer.number, id.clone()))
            .collect();
        ended.sort();
        let surplus = ended.len().saturating_sub(ENDED);
        ended.iter().take(surplus).filter_map(|(_, id)| self.transfers.remove(id)).collect()
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        lock(&self.registry.table).entries.remove(&self.number);
        self.registry.changed.notify_waiters();
    }
}

/// A container whose files are not worked on.
pub struct Closing {
    registry: Arc<Registry>,
    container: String,
}

impl Drop for Closing {
    fn drop(&mut self) {
        lock(&self.registry.table).closing.remove(&self.container);
    }
}
