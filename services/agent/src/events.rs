//! The guest's events, numbered. The last 4096 are kept for watchers that connect later.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::SystemTime;

use tokio::sync::Notify;

use crate::pb::WatchEventsResponse;
use crate::pb::watch_events_response::Event;
use crate::sync::{lock, until};

/// Events that are kept.
const KEPT: usize = 4096;

/// The log of events.
#[derive(Default)]
pub struct Events {
    log: Mutex<Log>,
    changed: Notify,
}

#[derive(Default)]
struct Log {
    last: u64,
    kept: VecDeque<WatchEventsResponse>,
}

impl Events {
    /// Records an event.
    pub fn push(&self, event: Event) {
        let mut log = lock(&self.log);
        log.last += 1;
        if log.kept.len() == KEPT {
            log.kept.pop_front();
        }
        let recorded =
            WatchEventsResponse { sequence: log.last, time: Some(SystemTime::now().into()), event: Some(event) };
        log.kept.push_back(recorded);
        drop(log);
        self.changed.notify_waiters();
    }

    /// Sequence number of the newest event; 0 if there was none.
    pub fn last(&self) -> u64 {
        lock(&self.log).last
    }

    /// The oldest kept event after `sequence`. Waits until there is one.
    pub async fn after(&self, sequence: u64) -> WatchEventsResponse {
        until(&self.changed, || self.find(sequence)).await
    }

    fn find(&self, sequence: u64) -> Option<WatchEventsResponse> {
        let log = lock(&self.log);
        let first = log.kept.front()?.sequence;
        let index = sequence.saturating_add(1).saturating_sub(first) as usize;
        log.kept.get(index).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pb::GuestStopping;

    fn pushed(count: usize) -> Events {
        let events = Events::default();
        (0..count).for_each(|_| events.push(Event::GuestStopping(GuestStopping {})));
        events
    }

    #[test]
    fn a_watcher_gets_the_events_after_its_number() {
        let events = pushed(5);
        assert_eq!(events.find(0).map(|event| event.sequence), Some(1));
        assert_eq!(events.find(3).map(|event| event.sequence), Some(4));
        assert_eq!(events.find(5), None);
    }

    #[test]
    fn a_watcher_that_is_too_late_continues_with_the_oldest_kept_event() {
        let events = pushed(KEPT + 10);
        assert_eq!(events.find(2).map(|event| event.sequence), Some(11));
        let last = (KEPT + 10) as u64;
        assert_eq!(events.find(last - 1).map(|event| event.sequence), Some(last));
    }
}
