//! Waits for a value in `cgroup.events`. The kernel wakes a poller at each change.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::runtime::error::{Attempt, Result, RuntimeError};

/// An open `cgroup.events`.
pub(super) struct Events {
    file: OwnedFd,
    directory: PathBuf,
}

impl Events {
    /// Opens the file of a cgroup. Open it before you cause the change.
    pub(super) fn open(directory: &Path) -> Result<Self> {
        let path = directory.join("cgroup.events");
        let file = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .attempt(|| format!("open {}", path.display()))?;
        let directory = directory.to_owned();
        Ok(Self { file, directory })
    }

    /// Waits until `key` is `value`.
    pub(super) fn wait(&self, key: &str, value: &str, timeout: Duration) -> Result<()> {
        let began = Instant::now();
        loop {
            // Reading arms the event: a change after this read wakes the poll below.
            if self.current(key)?.is_none_or(|current| current == value) {
                return Ok(());
            }
            let Some(left) = timeout.checked_sub(began.elapsed()) else {
                return Err(RuntimeError::TimedOut {
                    attempt: format!("waiting for {key:?} {value} of {}", self.directory.display()),
                    waited_ms: timeout.as_millis() as u64,
                });
            };
            let left = Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
            let mut poll = [PollFd::new(&self.file, PollFlags::PRI)];
            match rustix::event::poll(&mut poll, Some(&left)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(RuntimeError::system("wait for cgroup.events", errno)),
            }
        }
    }

    /// The value of a key; none if the cgroup is removed or the kernel lacks the key.
    fn current(&self, key: &str) -> Result<Option<String>> {
        let mut bytes = [0u8; 256];
        let count = match rustix::io::pread(&self.file, &mut bytes, 0) {
            Err(Errno::NODEV) => return Ok(None),
            other => other.attempt(|| "read cgroup.events")?,
        };
        let text = String::from_utf8_lossy(bytes.get(..count).unwrap_or_default());
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(' '));
        Ok(line.map(str::to_owned))
    }
}
