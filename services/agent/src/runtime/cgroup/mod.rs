//! A container's cgroup (v2): `<root>/paddock/<container id>`.
//!
//! It exists before its first process, which is created inside it. Limits are pure lists of `{file, value}`, with one function
//! per controller, and one writer. Events of `cgroup.events` report when it is frozen or empty.
//!
//! `memory.oom.group` stays 0 unless a request sets it: an exec that uses up the memory must not end the container's init. When
//! the kernel kills the init itself, the container ends.

mod block_devices;
mod change;
mod controllers;
pub(super) mod device_rules;
mod events;
mod files;
mod limits;
pub(super) mod stats;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use crate::pb;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::layout::Layout;
use block_devices::BlockDevices;
pub(super) use files::read_start;
use files::{read_text, write};

const FREEZE_TIMEOUT: Duration = Duration::from_secs(10);
const NESTING: usize = 16;

/// A container's cgroup.
#[derive(Debug)]
pub(super) struct Cgroup {
    directory: PathBuf,
}

impl Cgroup {
    /// Creates the cgroup with its limits. On failure nothing is left.
    pub(super) fn create(layout: &Layout, id: &str, resources: &pb::Resources) -> Result<Self> {
        // Disk limits are set after the root is built, so that a low rate does not delay that.
        let resources = &pb::Resources { disks: Vec::new(), ..resources.clone() };
        limits::files(resources, "max", &|_| None)?;
        controllers::prepare(layout.cgroup_root())?;
        let directory = layout.cgroup_dir(id);
        match rustix::fs::mkdir(&directory, Mode::from_raw_mode(0o755)) {
            Err(Errno::EXIST) => return Err(RuntimeError::InvalidSpec(format!("container id {id} is taken"))),
            other => other.attempt(|| format!("create the cgroup of container {id}"))?,
        }
        let cgroup = Self { directory };
        if let Err(error) = cgroup.update(resources) {
            cgroup.delete().ok();
            return Err(error);
        }
        Ok(cgroup)
    }

    /// Opens the cgroup, to create a process in it.
    pub(super) fn open(&self) -> Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::open(&self.directory, flags, Mode::empty())
            .attempt(|| format!("open the cgroup {}", self.directory.display()))
    }

    /// The directory.
    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Sets the limits that `resources` contains, all or none. A value that the kernel refuses is the request's fault.
    pub(super) fn update(&self, resources: &pb::Resources) -> Result<()> {
        let current = read_text(&self.directory.join("cpu.max")).unwrap_or_default();
        let quota = current.split_ascii_whitespace().next().unwrap_or("max");
        let devices = BlockDevices::new();
        let limits = limits::files(resources, quota, &|target| devices.number(target))?;
        change::apply(&self.directory, &limits)
    }

    /// Makes the standard devices and these the only ones that processes may open from now on.
    pub(super) fn allow_devices(&self, rules: &[device_rules::Rule]) -> Result<()> {
        device_rules::apply(&self.directory, rules)
    }

    /// Freezes every process and waits until all are frozen. On a timeout all are thawed, and the container counts as running.
    pub(super) fn freeze(&self) -> Result<()> {
        self.set_frozen("1").inspect_err(|_| {
            let _ = write(&self.directory.join("cgroup.freeze"), "0");
        })
    }

    /// Thaws every process.
    pub(super) fn thaw(&self) -> Result<()> {
        self.set_frozen("0")
    }

    fn set_frozen(&self, value: &str) -> Result<()> {
        let events = events::Events::open(&self.directory)?;
        write(&self.directory.join("cgroup.freeze"), value)
            .attempt(|| format!("write {value} to cgroup.freeze of {}", self.directory.display()))?;
        events.wait("frozen", value, FREEZE_TIMEOUT)
    }

    /// Kills every process. Succeeds if the cgroup is removed.
    pub(super) fn kill(&self) -> Result<()> {
        match write(&self.directory.join("cgroup.kill"), "1") {
            Err(Errno::NOENT | Errno::NODEV) => Ok(()),
            other => other.attempt(|| format!("kill the processes of {}", self.directory.display())),
        }
    }

    /// Waits until no process is left.
    pub(super) fn wait_empty(&self, timeout: Duration) -> Result<()> {
        if !self.directory.exists() {
            return Ok(());
        }
        events::Events::open(&self.directory)?.wait("populated", "0", timeout)
    }

    /// Removes the directory and those below. They must have no processes.
    pub(super) fn delete(&self) -> Result<()> {
        let mut directories = self.tree();
        directories.reverse();
        for directory in directories {
            match rustix::fs::rmdir(&directory) {
                Err(Errno::NOENT) => {}
                other => other.attempt(|| format!("remove the cgroup {}", directory.display()))?,
            }
        }
        Ok(())
    }

    /// PIDs of the processes in the cgroup and below, at most `limit`.
    pub(super) fn pids(&self, limit: usize) -> Vec<i32> {
        let texts = self.tree().into_iter().filter_map(|dir| read_text(&dir.join("cgroup.procs")).ok());
        let mut pids = Vec::new();
        for text in texts {
            pids.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
        }
        pids.sort_unstable();
        pids.truncate(limit);
        pids
    }

    /// Whether a process is in the cgroup or below, by its /proc entry.
    pub(super) fn holds(&self, pid: i32) -> bool {
        let Some(id) = self.directory.file_name().and_then(|name| name.to_str()) else {
            return false;
        };
        let text = read_text(Path::new(&format!("/proc/{pid}/cgroup"))).unwrap_or_default();
        let path = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or("");
        format!("{path}/").contains(&format!("/paddock/{id}/"))
    }

    /// How many processes the OOM killer has killed.
    pub(super) fn oom_kill_count(&self) -> u64 {
        stats::field(&read_text(&self.directory.join("memory.events")).unwrap_or_default(), "oom_kill")
    }

    /// The directory and those below, outermost first. A container needs a capability to create more.
    fn tree(&self) -> Vec<PathBuf> {
        let mut all = vec![self.directory.clone()];
        let mut level = all.clone();
        for _ in 0..NESTING {
            let entries = level.iter().filter_map(|dir| std::fs::read_dir(dir).ok()).flatten().flatten();
            let below = entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
            level = below.map(|entry| entry.path()).take(1024).collect();
            if level.is_empty() {
                break;
            }
            all.extend(level.iter().cloned());
        }
        all
    }
}
