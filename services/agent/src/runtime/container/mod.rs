//! A container, as seen by the rest of the agent.

pub mod create;
mod devices;
pub mod exec;
mod process_list;
mod stopped;

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::pb;
use crate::runtime::cgroup::{self, Cgroup};
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::filesystem::device_file::DeviceFile;
use crate::runtime::filesystem::file_mounts;
use crate::runtime::filesystem::names::Names;
use crate::runtime::launch::channel::{self, Message};
use crate::runtime::launch::pty;
use crate::runtime::launch::report::{Meaning, Subject};
use crate::runtime::launch::spawn::Child;
use crate::runtime::namespaces;
use stopped::StoppedRoot;

const START_TIMEOUT: Duration = Duration::from_secs(10);
const REMOVE_TIMEOUT: Duration = Duration::from_secs(10);
const PROCESSES: usize = 32 * 1024;

/// The facts about the sandbox that its containers need.
#[derive(Clone, Debug)]
pub struct SandboxContext {
    /// The names that containers see.
    pub names: Names,
    /// Directory of the tmpfs that is every container's /dev/shm.
    pub shm_dir: PathBuf,
    /// Parent of the sandbox's shared directories.
    pub shared_root: PathBuf,
    /// Whether containers share one PID namespace.
    pub share_pid_namespace: bool,
}

/// The outcome of a start.
#[derive(Debug, PartialEq, Eq)]
pub enum Started {
    /// The command runs.
    Running,
    /// The command cannot be executed. Init exits with this code.
    Failed {
        /// 126 or 127.
        code: i32,
        /// Why.
        reason: String,
    },
}

/// A container. Dropping this does not end it; see [`Container::remove`].
pub struct Container {
    id: String,
    hostname: Mutex<String>,
    /// Whether the hostname comes from the request rather than from the sandbox.
    has_own_hostname: bool,
    /// The directory of the container's /etc/hosts and the like.
    files: OwnedFd,
    /// The init's command and working directory, for messages.
    subject: Subject,
    directory: PathBuf,
    init: Child,
    channel: Mutex<Option<OwnedFd>>,
    cgroup: Cgroup,
    open_cgroup: OwnedFd,
    devices: Mutex<Vec<DeviceFile>>,
    stopped: StoppedRoot,
}

impl Container {
    /// PID of the init process in the guest.
    pub fn init_pid(&self) -> i32 {
        self.init.pid
    }

    /// Opens a terminal of the container's own devpts: master and slave.
    pub fn open_pty(&self) -> Result<(OwnedFd, OwnedFd)> {
        let terminal = pty::open(&self.root()?)?;
        Ok((terminal.master, terminal.slave))
    }

    /// Makes init execute its command. May be called once.
    pub fn start(&self) -> Result<Started> {
        let channel = self.channel.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(channel) = channel else {
            return Err(RuntimeError::AlreadyStarted(self.id.clone()));
        };
        if !channel::send_go(&channel) {
            return Err(self.not_running());
        }
        match channel::receive(&channel, START_TIMEOUT, "the start of a container's command")? {
            Message::Closed => Ok(Started::Running),
            Message::Launch(report) => match report.meaning(&self.subject) {
                Meaning::CannotExecute { code, reason } => Ok(Started::Failed { code, reason }),
                Meaning::Gone => Err(self.not_running()),
                Meaning::Failed(error) => Err(error),
            },
            Message::Failed(error) => Err(error),
            Message::Ready(_) | Message::Born(..) => {
                Err(RuntimeError::Stage("the init stage sent an unexpected message".into()))
            }
        }
    }

    /// Sends a signal to every process of the container. Skips those that have exited.
    pub fn signal_all(&self, signal: i32) -> Result<()> {
        if signal == libc::SIGKILL {
            return self.cgroup.kill();
        }
        if !(1..=64).contains(&signal) {
            return Err(RuntimeError::InvalidSpec(format!("{signal} is not a signal; signals are 1 to 64")));
        }
        // SAFETY: the kernel accepts 1 to 64; the number is only passed through.
        let number = unsafe { Signal::from_raw_unchecked(signal) };
        for pid in self.cgroup.pids(PROCESSES) {
            let Some(handle) = rustix::process::Pid::from_raw(pid) else {
                continue;
            };
            let Ok(pidfd) = pidfd_open(handle, PidfdFlags::empty()) else {
                continue;
            };
            // The PID may have been reused since it was read.
            if self.cgroup.holds(pid) {
                pidfd_send_signal(&pidfd, number).ok();
            }
        }
        Ok(())
    }

    /// Freezes every process, and returns when all are frozen.
    pub fn pause(&self) -> Result<()> {
        self.cgroup.freeze()
    }

    /// Thaws every process.
    pub fn resume(&self) -> Result<()> {
        self.cgroup.thaw()
    }

    /// Changes the limits that are set.
    pub fn update(&self, resources: &pb::Resources) -> Result<()> {
        self.cgroup.update(resources)
    }

    /// Writes /etc/hosts, /etc/hostname and /etc/resolv.conf again, and sets the hostname unless the container has its own.
    pub fn follow(&self, names: &Names) -> Result<()> {
        let hostname = {
            let mut hostname = self.hostname.lock().unwrap_or_else(PoisonError::into_inner);
            if !self.has_own_hostname {
                names.hostname.clone_into(&mut hostname);
            }
            hostname.clone()
        };
        file_mounts::rewrite_identity(&self.files, &hostname, &names.hosts(&hostname), &names.resolv_conf)?;
        let init = self.init.pidfd.as_fd();
        if self.has_own_hostname || namespaces::has_ended(init) {
            return Ok(());
        }
        namespaces::set_hostname(init, &hostname)
    }

    /// The hostname for new processes.
    fn hostname(&self) -> String {
        self.hostname.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The stats of the container's cgroup.
    pub fn stats(&self) -> Result<pb::GetContainerStatsResponse> {
        // If init has exited, its PID may have been reused.
        let init = Some(self.init.pid).filter(|pid| self.cgroup.holds(*pid));
        Ok(cgroup::stats::read(self.cgroup.directory(), init))
    }

    /// The container's processes, by PID in the guest.
    pub fn processes(&self) -> Result<Vec<pb::ProcessEntry>> {
        Ok(process_list::list(&self.cgroup, self.root().ok().as_ref()))
    }

    /// How many processes of the container the OOM killer has killed.
    pub fn oom_kill_count(&self) -> u64 {
        self.cgroup.oom_kill_count()
    }

    /// The file that changes when the memory limit is hit or the OOM killer kills.
    pub fn memory_events_path(&self) -> PathBuf {
        self.cgroup.directory().join("memory.events")
    }

    /// Kills the remaining processes, waits until they have exited, which ends their mounts, and removes cgroup and directory.
    /// Idempotent.
    pub fn remove(&self) -> Result<()> {
        self.channel.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.cgroup.kill()?;
        self.cgroup.wait_empty(REMOVE_TIMEOUT)?;
        self.cgroup.delete()?;
        match std::fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other.attempt(|| format!("remove {}", self.directory.display())),
        }
    }

    /// The container's root: as its init sees it or, if the container has stopped, only its image and writable layer. It keeps the
    /// file systems mounted, so it must be closed before the container is removed.
    pub fn open_root(&self) -> Result<Arc<OwnedFd>> {
        match self.root() {
            Err(RuntimeError::NotRunning(_)) if self.cgroup.pids(1).is_empty() => self.stopped.open(&self.id),
            other => other.map(Arc::new),
        }
    }

    /// The container's root as its init sees it. Do not keep it beyond a call: it keeps the file systems mounted.
    fn root(&self) -> Result<OwnedFd> {
        let path = format!("/proc/{}/root", self.init.pid);
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty());
        // Checked afterwards: until the init has exited, its PID cannot be reused.
        if namespaces::has_ended(self.init.pidfd.as_fd()) {
            return Err(self.not_running());
        }
        root.attempt(|| format!("open the root of container {}", self.id))
    }

    fn not_running(&self) -> RuntimeError {
        RuntimeError::NotRunning(self.id.clone())
    }
}
