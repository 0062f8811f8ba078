//! The containers of the guest, by id. An id is reserved when the creation begins.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use tokio::sync::Notify;

use super::Container;
use super::error::ContainerError;
use crate::sync::{lock, until};

/// The most containers in a guest.
const LIMIT: usize = 1024;

/// The table.
#[derive(Default)]
pub struct Registry {
    table: Mutex<Table>,
    changed: Notify,
}

#[derive(Default)]
struct Table {
    slots: BTreeMap<String, Slot>,
    created: u64,
}

enum Slot {
    Creating,
    There(Arc<Container>),
}

impl Registry {
    /// Reserves an id, and returns the container's position in the order of creation.
    pub fn reserve(&self, id: &str) -> Result<u64, ContainerError> {
        let mut table = lock(&self.table);
        if table.slots.contains_key(id) {
            return Err(ContainerError::Exists(id.to_owned()));
        }
        if table.slots.len() >= LIMIT {
            return Err(ContainerError::TooManyContainers { limit: LIMIT });
        }
        table.slots.insert(id.to_owned(), Slot::Creating);
        table.created += 1;
        Ok(table.created)
    }

    /// Replaces the reservation with the container.
    pub fn insert(&self, container: Arc<Container>) {
        let id = container.id.clone();
        lock(&self.table).slots.insert(id, Slot::There(container));
        self.changed.notify_waiters();
    }

    /// Frees an id.
    pub fn forget(&self, id: &str) {
        lock(&self.table).slots.remove(id);
        self.changed.notify_waiters();
    }

    /// Returns a container that has been created.
    pub fn get(&self, id: &str) -> Result<Arc<Container>, ContainerError> {
        match lock(&self.table).slots.get(id) {
            Some(Slot::There(container)) => Ok(container.clone()),
            Some(Slot::Creating) | None => Err(ContainerError::NotFound(id.to_owned())),
        }
    }

    /// As [`Registry::get`], but waits if the container is being created.
    pub async fn settled(&self, id: &str) -> Option<Arc<Container>> {
        let settled = || match lock(&self.table).slots.get(id) {
            Some(Slot::There(container)) => Some(Some(container.clone())),
            None => Some(None),
            Some(Slot::Creating) => None,
        };
        until(&self.changed, settled).await
    }

    /// All created containers, in the order of creation.
    pub fn all(&self) -> Vec<Arc<Container>> {
        let table = lock(&self.table);
        let mut all: Vec<_> = table
            .slots
            .values()
            .filter_map(|slot| match slot {
                Slot::There(container) => Some(container.clone()),
                Slot::Creating => None,
            })
            .collect();
        drop(table);
        all.sort_by_key(|container| container.order);
        all
    }
}
