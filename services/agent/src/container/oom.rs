//! Watches `memory.events` of every container's cgroup with inotify.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Mutex, Weak};

use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, WatchDescriptor};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::Container;
use crate::sync::{lock, watch_fd};

/// The watch over all containers.
pub struct OomWatch {
    inotify: Inotify,
    readiness: AsyncFd<OwnedFd>,
    watched: Mutex<HashMap<WatchDescriptor, Weak<Container>>>,
}

impl OomWatch {
    /// Creates a watch over no containers.
    pub fn new() -> io::Result<Arc<Self>> {
        let inotify = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        let copy = inotify.as_fd().try_clone_to_owned()?;
        Ok(Arc::new(Self { inotify, readiness: watch_fd(copy, Interest::READABLE)?, watched: Mutex::default() }))
    }

    /// Adds a container, until its cgroup is removed.
    pub fn add(&self, container: &Arc<Container>) {
        let path = container.runtime.memory_events_path();
        match self.inotify.add_watch(&path, AddWatchFlags::IN_MODIFY) {
            Ok(watch) => {
                lock(&self.watched).insert(watch, Arc::downgrade(container));
            }
            Err(error) => crate::log::warn("oom", &format!("cannot watch {}: {error}", path.display())),
        }
    }

    /// Waits for changes, and returns each changed container once.
    pub async fn changed(&self) -> io::Result<Vec<Arc<Container>>> {
        let mut guard = self.readiness.readable().await?;
        let events = guard.try_io(|_| Ok(self.inotify.read_events()?));
        let Ok(events) = events else {
            return Ok(Vec::new());
        };
        let mut concerned: HashMap<WatchDescriptor, Arc<Container>> = HashMap::new();
        let mut watched = lock(&self.watched);
        for event in events? {
            if event.mask.contains(AddWatchFlags::IN_IGNORED) {
                watched.remove(&event.wd);
            } else if let Some(container) = watched.get(&event.wd).and_then(Weak::upgrade) {
                concerned.insert(event.wd, container);
            }
        }
        Ok(concerned.into_values().collect())
    }
}
