//! Creates a container: checks the request, waits for disks, creates the cgroup, starts the init stage in it, and waits until the
//! stage has built the container. A failure undoes the earlier steps in reverse.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};

use super::exec;
use super::stopped::StoppedRoot;
use super::{Container, SandboxContext};
use crate::pb::{self, mount::Source};
use crate::runtime::cgroup::Cgroup;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::filesystem::device_file::{self, DeviceFile};
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

/// Creates a container whose init waits for [`Container::start`]. Init gets `stdio`. Without `stdio`, init gets a terminal of the
/// container's own devpts, whose master is returned.
pub fn create(
    layout: &Layout,
    sandbox: &SandboxContext,
    request: &pb::CreateContainerRequest,
    stdio: Option<Stdio>,
) -> Result<(Container, Option<OwnedFd>)> {
    let id = &request.container_id;
    let (spec, devices) = prepare(layout, sandbox, request, stdio.is_none())?;
    let resources = request.resources.clone().unwrap_or_default();
    // The cgroup comes first: if its name is free, the id is free.
    let cgroup = Cgroup::create(layout, id, &resources)?;
    let directory = PathBuf::from(&spec.filesystem.directory);
    let built = build(id, &spec, stdio, &cgroup).and_then(|built| {
        if !resources.disks.is_empty() {
            // The root is built, so its disks may be limited now.
            cgroup.update(&pb::Resources { disks: resources.disks, ..Default::default() })?;
        }
        // The init stage has mounted the disks of the root, which the container itself may not.
        cgroup.allow_devices(&[])?;
        Ok(built)
    });
    match built {
        Ok(Built { init, channel, open_cgroup, subject, files, master }) => {
            let container = Container {
                id: id.clone(),
                hostname: Mutex::new(spec.hostname),
                has_own_hostname: !request.hostname.is_empty(),
                subject,
                directory,
                files,
                init,
                channel: Mutex::new(Some(channel)),
                cgroup,
                open_cgroup,
                devices: Mutex::default(),
                stopped: StoppedRoot::new(spec.filesystem),
            };
            if let Err(error) = devices.into_iter().try_for_each(|file| container.add_device_file(file)) {
                container.remove().ok();
                return Err(error);
            }
            Ok((container, master))
        }
        Err(error) => {
            // The mounts end when the processes are killed.
            cgroup.kill().and_then(|()| cgroup.wait_empty(UNDO_TIMEOUT)).and_then(|()| cgroup.delete()).ok();
            std::fs::remove_dir_all(&directory).ok();
            Err(error)
        }
    }
}

/// Checks the request, and waits for its disks.
fn prepare(
    layout: &Layout,
    sandbox: &SandboxContext,
    request: &pb::CreateContainerRequest,
    own_terminal: bool,
) -> Result<(StageSpec, Vec<DeviceFile>)> {
    check_id("container id", &request.container_id)?;
    let process =
        request.process.clone().ok_or_else(|| RuntimeError::InvalidSpec("a container needs a process".into()))?;
    LaunchPlan::check(&process)?;
    request_mounts::check(&request.mounts)?;
    sysctl::check(&request.sysctls)?;
    let names = &sandbox.names;
    let hostname = if request.hostname.is_empty() { &names.hostname } else { &request.hostname };
    check_hostname(hostname)?;
    let rootfs = request.rootfs.unwrap_or_default();
    let mut disks = Disks::new(request.disk_timeout.as_ref());
    let lower = match layout.image() {
        Some(directory) => Layer { source: directory.to_owned(), fstype: String::new() },
        None => {
            let disk = rootfs.lower.as_ref();
            let disk = disk.ok_or_else(|| RuntimeError::InvalidSpec("a rootfs needs a lower disk".into()))?;
            Layer { source: text(&disks.wait(disk)?), fstype: "squashfs".into() }
        }
    };
    let upper = match (&rootfs.upper, rootfs.read_only) {
        (Some(disk), false) => Some(Layer { source: text(&disks.wait(disk)?), fstype: "ext4".into() }),
        _ => None,
    };
    let filesystem = FilesystemSpec {
        directory: text(&layout.container_dir(&request.container_id)),
        hosts: names.hosts(hostname),
        resolv_conf: names.resolv_conf.clone(),
        shm_dir: text(&sandbox.shm_dir),
        shared_root: text(&sandbox.shared_root),
        lower,
        upper,
        tmpfs_size_bytes: rootfs.tmpfs_size_bytes,
        read_only: rootfs.read_only,
        mounts: request.mounts.clone(),
        mount_devices: mount_devices(&request.mounts, &mut disks)?,
    };
    let devices = device_files(&request.devices, &mut disks)?;
    let spec = StageSpec {
        hostname: hostname.clone(),
        filesystem,
        sysctls: request.sysctls.clone(),
        filter: LaunchPlan::filter(&process)?.map_or_else(Vec::new, |filter| seccomp::to_bytes(&filter)),
        process: Some(process),
        own_terminal,
        apart: sandbox.share_pid_namespace,
    };
    Ok((spec, devices))
}

/// A container that is built, with its init waiting.
struct Built {
    init: Child,
    channel: OwnedFd,
    open_cgroup: OwnedFd,
    subject: Subject,
    files: OwnedFd,
    master: Option<OwnedFd>,
}

/// Starts the init stage, and waits until it has built the container.
fn build(id: &str, spec: &StageSpec, stdio: Option<Stdio>, cgroup: &Cgroup) -> Result<Built> {
    create_directories(Path::new(&spec.filesystem.directory))?;
    let open_cgroup = cgroup.open()?;
    let (ours, theirs) = channel::pair()?;
    let mut init = spawn(id, spec, stdio, &open_cgroup, &theirs)?;
    drop(theirs);
    let unexpected = |what| RuntimeError::Stage(format!("the init stage of container {id} {what}"));
    let descriptors = match channel::receive(&ours, BUILD_TIMEOUT, "the container's init stage")? {
        Message::Ready(descriptors) => descriptors,
        Message::Failed(error) => return Err(error),
        Message::Launch(_) | Message::Born(..) => {
            return Err(unexpected("sent an unexpected message"));
        }
        Message::Closed => return Err(unexpected("ended without a message; its memory limit may be too small")),
    };
    let mut descriptors = descriptors.into_iter();
    let (files, master) = match (descriptors.next(), descriptors.next()) {
        (Some(files), master) if master.is_some() == spec.own_terminal => (files, master),
        _ => return Err(unexpected("sent unexpected descriptors")),
    };
    let subject = Subject::of(spec.process()?);
    if spec.apart {
        init = exec::take_born(&ours, cgroup, &subject)?;
    }
    Ok(Built { init, channel: ours, open_cgroup, subject, files, master })
}

fn spawn(id: &str, spec: &StageSpec, stdio: Option<Stdio>, cgroup: &OwnedFd, channel: &OwnedFd) -> Result<Child> {
    let streams = match stdio {
        Some(stdio) if spec.process()?.terminal != stdio.terminal => {
            return Err(RuntimeError::InvalidSpec("the init needs a terminal".into()));
        }
        Some(stdio) => stdio.into_descriptors()?,
        None => [null()?, null()?, null()?],
    };
    let streams = streams.each_ref().map(AsFd::as_fd);
    let start = |member: Option<BorrowedFd<'_>>, own: u64| {
        stage::spawn_init(cgroup.as_fd(), streams, channel, spec, member, |spawn| {
            spawn(own).attempt(|| format!("create the init of container {id}"))
        })
    };
    // In a shared PID namespace no container may see the stage. A namespace of its own contains no other process.
    if spec.apart {
        stage::with_shared_pid_namespace(|holder| start(Some(holder), OWN))
    } else {
        start(None, OWN | OWN_PID)
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

fn device_files(devices: &[pb::ContainerDevice], disks: &mut Disks) -> Result<Vec<DeviceFile>> {
    if devices.len() > device_file::LIMIT {
        let text = format!("a container has at most {} device files", device_file::LIMIT);
        return Err(RuntimeError::InvalidSpec(text));
    }
    devices.iter().map(|device| DeviceFile::of(device, disks)).collect()
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
