//! Creating a container: check the request, wait for disks, create the cgroup, start the init stage in it, and wait until the
//! stage has built the container. A failure undoes the steps before it, in reverse.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::exec;
use super::{Container, SandboxContext};
use crate::pb::{self, mount::Source};
use crate::runtime::cgroup::Cgroup;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::filesystem::disks::Disks;
use crate::runtime::filesystem::request_mounts;
use crate::runtime::filesystem::spec::{FilesystemSpec, Layer};
use crate::runtime::launch::channel::{self, Message};
use crate::runtime::launch::plan::{LaunchPlan, Stdio};
use crate::runtime::launch::report::Subject;
use crate::runtime::launch::spawn::Child;
use crate::runtime::layout::{Layout, check_id};
use crate::runtime::namespaces::sysctl;
use crate::runtime::namespaces::{OWN, OWN_PID};
use crate::runtime::rights::seccomp;
use crate::runtime::stage::{self, BUILD_TIMEOUT, StageSpec};

const UNDO_TIMEOUT: Duration = Duration::from_secs(5);

/// Where the image and the writable layer come from.
#[derive(Clone, Debug)]
pub enum RootfsSource {
    /// The disks of the request.
    Disks,
    /// A directory takes the place of the image; for tests on a host.
    Directory(String),
}

/// Streams of the init process.
enum InitStdio {
    Given(Stdio),
    OwnTerminal,
}

/// Creates a container whose init waits for [`Container::start`]. `stdio` is what the init gets.
pub fn create(sandbox: &SandboxContext, request: &pb::CreateContainerRequest, stdio: Stdio) -> Result<Container> {
    create_from(&Layout::default(), RootfsSource::Disks, sandbox, request, stdio)
}

/// Creates a container whose init gets a terminal of the container's own devpts. Returns the terminal's master.
pub fn create_with_terminal(
    sandbox: &SandboxContext,
    request: &pb::CreateContainerRequest,
) -> Result<(Container, OwnedFd)> {
    let attempt = Creation { layout: &Layout::default(), source: RootfsSource::Disks, sandbox, request };
    let (container, master) = attempt.run(InitStdio::OwnTerminal)?;
    match master {
        Some(master) => Ok((container, master)),
        None => {
            container.remove()?;
            Err(RuntimeError::Stage("the stage opened no terminal".into()))
        }
    }
}

/// [`create`] with another layout or rootfs.
pub fn create_from(
    layout: &Layout,
    source: RootfsSource,
    sandbox: &SandboxContext,
    request: &pb::CreateContainerRequest,
    stdio: Stdio,
) -> Result<Container> {
    let attempt = Creation { layout, source, sandbox, request };
    attempt.run(InitStdio::Given(stdio)).map(|(container, _)| container)
}

/// [`create_with_terminal`] with another layout or rootfs.
#[cfg(test)]
pub fn create_with_terminal_from(
    layout: &Layout,
    source: RootfsSource,
    sandbox: &SandboxContext,
    request: &pb::CreateContainerRequest,
) -> Result<(Container, Option<OwnedFd>)> {
    Creation { layout, source, sandbox, request }.run(InitStdio::OwnTerminal)
}

struct Creation<'a> {
    layout: &'a Layout,
    source: RootfsSource,
    sandbox: &'a SandboxContext,
    request: &'a pb::CreateContainerRequest,
}

impl Creation<'_> {
    fn run(&self, stdio: InitStdio) -> Result<(Container, Option<OwnedFd>)> {
        let id = &self.request.container_id;
        let spec = self.spec(matches!(stdio, InitStdio::OwnTerminal))?;
        let resources = self.request.resources.clone().unwrap_or_default();
        // The cgroup comes first: if its name is free, the id is free.
        let cgroup = Cgroup::create(self.layout, id, &resources)?;
        let undo = Undo { cgroup: Some(cgroup), directory: PathBuf::from(&spec.filesystem.directory) };
        create_directories(&undo.directory)?;
        let cgroup = undo.cgroup.as_ref().map(Cgroup::open);
        let open_cgroup = cgroup.unwrap_or_else(|| Err(RuntimeError::Stage("the cgroup is gone".into())))?;
        let (ours, theirs) = channel::pair()?;
        let mut child = self.spawn(&spec, stdio, &open_cgroup, &theirs)?;
        drop(theirs);
        let master = match channel::receive(&ours, BUILD_TIMEOUT, "the container's init stage")? {
            Message::Ready(master) => master,
            Message::Failed(error) => return Err(error),
            Message::Launch(_) | Message::Born(..) => {
                return Err(RuntimeError::Stage("the init stage sent an unexpected message".into()));
            }
            Message::Closed => {
                return Err(RuntimeError::Stage(format!(
                    "the init stage of container {id} ended without a message; its memory limit may be too small"
                )));
            }
        };
        let subject = Subject::of(&spec.process.unwrap_or_default());
        if let (true, Some(cgroup)) = (spec.apart, &undo.cgroup) {
            child = exec::take_born(&ours, cgroup, &subject)?;
        }
        if !resources.disks.is_empty()
            && let Some(cgroup) = &undo.cgroup
        {
            // The root is built, so its disks may be limited now.
            cgroup.update(&pb::Resources { disks: resources.disks.clone(), ..Default::default() })?;
        }
        let kept = undo.keep().ok_or_else(|| RuntimeError::Stage("the cgroup is gone".into()))?;
        let (cgroup, directory) = kept;
        let container = Container {
            id: id.clone(),
            hostname: spec.hostname,
            subject,
            directory,
            init: child,
            channel: Mutex::new(Some(ours)),
            cgroup,
            open_cgroup,
        };
        Ok((container, master))
    }

    fn spec(&self, own_terminal: bool) -> Result<StageSpec> {
        let (request, sandbox) = (self.request, self.sandbox);
        check_id("container id", &request.container_id)?;
        let process =
            request.process.clone().ok_or_else(|| RuntimeError::InvalidSpec("a container needs a process".into()))?;
        LaunchPlan::check(&process)?;
        request_mounts::check(&request.mounts)?;
        sysctl::check(&request.sysctls)?;
        let hostname = if request.hostname.is_empty() { &sandbox.hostname } else { &request.hostname };
        check_hostname(hostname)?;
        let rootfs = request.rootfs.unwrap_or_default();
        let mut disks = Disks::new(request.disk_timeout.as_ref());
        let lower = self.lower(&rootfs, &mut disks)?;
        let upper = match (&rootfs.upper, rootfs.read_only) {
            (Some(disk), false) => Some(Layer { source: text(&disks.wait(disk)?), fstype: "ext4".into() }),
            _ => None,
        };
        let filesystem = FilesystemSpec {
            directory: text(&self.layout.container_dir(&request.container_id)),
            resolv_conf: sandbox.resolv_conf.clone(),
            shm_dir: text(&sandbox.shm_dir),
            shared_root: text(&sandbox.shared_root),
            lower: Some(lower),
            upper,
            tmpfs_size_bytes: rootfs.tmpfs_size_bytes,
            read_only: rootfs.read_only,
            mounts: request.mounts.clone(),
            mount_devices: mount_devices(&request.mounts, &mut disks)?,
        };
        Ok(StageSpec {
            hostname: hostname.clone(),
            filesystem,
            sysctls: request.sysctls.clone(),
            filter: LaunchPlan::filter(&process)?.map_or_else(Vec::new, |filter| seccomp::to_bytes(&filter)),
            process: Some(process),
            own_terminal,
            apart: sandbox.share_pid_namespace,
        })
    }

    fn lower(&self, rootfs: &pb::Rootfs, disks: &mut Disks) -> Result<Layer> {
        match &self.source {
            RootfsSource::Disks => {}
            RootfsSource::Directory(source) => {
                return Ok(Layer { source: source.clone(), fstype: String::new() });
            }
        }
        let disk = rootfs.lower.as_ref();
        let disk = disk.ok_or_else(|| RuntimeError::InvalidSpec("a rootfs needs a lower disk".into()))?;
        Ok(Layer { source: text(&disks.wait(disk)?), fstype: "squashfs".into() })
    }

    fn spawn(&self, spec: &StageSpec, stdio: InitStdio, cgroup: &OwnedFd, channel: &OwnedFd) -> Result<Child> {
        let streams = match stdio {
            InitStdio::Given(stdio) => {
                let terminal = spec.process.as_ref().is_some_and(|process| process.terminal);
                if terminal != stdio.terminal {
                    return Err(RuntimeError::InvalidSpec("the init needs a terminal and has none".into()));
                }
                stdio.into_descriptors()?
            }
            InitStdio::OwnTerminal => [null()?, null()?, null()?],
        };
        let streams = streams.each_ref().map(AsFd::as_fd);
        let id = &self.request.container_id;
        let start = |member: Option<BorrowedFd<'_>>, own: u64| {
            stage::spawn_init(cgroup, streams, channel, spec, member, |spawn| {
                spawn(own).attempt(|| format!("create the init of container {id}"))
            })
        };
        // In a shared PID namespace no container may see the stage. A namespace of its own has no other process.
        if spec.apart {
            stage::with_shared_pid_namespace(|holder| start(Some(holder), OWN))
        } else {
            start(None, OWN | OWN_PID)
        }
    }
}

fn null() -> Result<OwnedFd> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    rustix::fs::open("/dev/null", flags, Mode::empty()).attempt(|| "open /dev/null")
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn check_hostname(hostname: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if hostname.is_empty() || hostname.len() > 64 || !hostname.bytes().all(plain) {
        return Err(RuntimeError::InvalidSpec("a hostname is 1 to 64 letters, digits, dashes and dots".into()));
    }
    Ok(())
}

fn mount_devices(mounts: &[pb::Mount], disks: &mut Disks) -> Result<Vec<String>> {
    let device = |mount: &pb::Mount| match &mount.source {
        Some(Source::Disk(pb::DiskMount { disk: Some(disk), .. })) => Ok(text(&disks.wait(disk)?)),
        Some(Source::Disk(_)) => Err(RuntimeError::InvalidSpec("a disk mount needs a disk".into())),
        _ => Ok(String::new()),
    };
    mounts.iter().map(device).collect()
}

/// Creates the directories to mount on.
fn create_directories(directory: &Path) -> Result<()> {
    // An earlier container of this id leaves only empty directories.
    std::fs::remove_dir_all(directory).ok();
    for name in ["layers/lower", "layers/upper", "files", "root"] {
        let path = directory.join(name);
        std::fs::create_dir_all(&path).attempt(|| format!("create {}", path.display()))?;
    }
    Ok(())
}

/// Undoes a creation that fails: kills the processes, which ends their mounts, and removes the cgroup and the directory.
struct Undo {
    cgroup: Option<Cgroup>,
    directory: PathBuf,
}

impl Undo {
    fn keep(mut self) -> Option<(Cgroup, PathBuf)> {
        self.cgroup.take().zip(Some(std::mem::take(&mut self.directory)))
    }
}

impl Drop for Undo {
    fn drop(&mut self) {
        if let Some(cgroup) = &self.cgroup {
            cgroup.kill().and_then(|()| cgroup.wait_empty(UNDO_TIMEOUT)).and_then(|()| cgroup.delete()).ok();
            std::fs::remove_dir_all(&self.directory).ok();
        }
    }
}
