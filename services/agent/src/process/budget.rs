//! The memory that all rings together may use.
//!
//! A container may have a thousand ended processes, each with two rings of several MiB, in a guest of 128 MiB. So a ring grows
//! beyond its floor only as far as a budget over all rings allows. When the budget is used up, rings free their acknowledged
//! bytes (`shed`), those of ended processes first. If that is not enough, a ring does not grow, and its process blocks earlier.
//! No unacknowledged byte is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

/// A shared account of bytes.
#[derive(Clone, Debug)]
pub struct Budget {
    account: Arc<Account>,
}

#[derive(Debug)]
struct Account {
    used: AtomicUsize,
    limit: usize,
    denied: Notify,
}

impl Budget {
    /// A budget of `limit` bytes.
    pub fn new(limit: usize) -> Self {
        Self { account: Arc::new(Account { used: AtomicUsize::new(0), limit, denied: Notify::new() }) }
    }

    /// Takes bytes, even beyond the limit.
    pub fn take(&self, bytes: usize) {
        self.account.used.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Takes bytes if the limit allows.
    pub fn try_take(&self, bytes: usize) -> bool {
        let used = self.account.used.load(Ordering::Relaxed);
        if used.saturating_add(bytes) > self.account.limit {
            self.account.denied.notify_one();
            return false;
        }
        self.take(bytes);
        true
    }

    /// Returns bytes.
    pub fn give_back(&self, bytes: usize) {
        self.account.used.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Waits until a ring was denied bytes, so that other rings must shed.
    pub async fn pressed(&self) {
        self.account.denied.notified().await;
    }

    /// Whether a quarter of the limit is free, enough for rings to grow again.
    pub fn has_slack(&self) -> bool {
        self.account.used.load(Ordering::Relaxed) <= self.account.limit / 4 * 3
    }
}
