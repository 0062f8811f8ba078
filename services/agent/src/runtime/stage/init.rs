//! The init stage: builds the container from inside, waits, and becomes the user's process.
//!
//! It is created in the container's cgroup and namespaces, so that its mounts end with the container. It has one thread and its
//! own memory, so it may allocate. It reports a failure to the agent, which then kills the cgroup, so it undoes nothing itself.

use std::ffi::c_void;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::descriptors::{self, CHANNEL};
use super::spec::StageSpec;
use crate::runtime::error::{Attempt, Result};
use crate::runtime::filesystem::file_mounts::Files;
use crate::runtime::filesystem::in_root;
use crate::runtime::filesystem::masks;
use crate::runtime::filesystem::mount_api;
use crate::runtime::filesystem::pivot;
use crate::runtime::filesystem::request_mounts;
use crate::runtime::filesystem::rootfs;
use crate::runtime::filesystem::standard_mounts;
use crate::runtime::launch;
use crate::runtime::launch::channel;
use crate::runtime::launch::command;
use crate::runtime::launch::plan;
use crate::runtime::launch::plan::LaunchPlan;
use crate::runtime::launch::pty;
use crate::runtime::launch::spawn;
use crate::runtime::namespaces;
use crate::runtime::namespaces::sysctl;
use crate::runtime::rights::seccomp;
use crate::runtime::rights::user::Accounts;

/// Runs the stage.
pub fn run() -> ! {
    rustix::thread::set_name(c"paddock-init").ok();
    spawn::forbid_tracing();
    // SAFETY: the stage was started with these descriptors, and nothing else owns them.
    let (agent, spec, member) = unsafe { descriptors::take() };
    let Built { plan, terminal, files, apart } = match StageSpec::read(spec).and_then(|spec| build(&spec, &member)) {
        Ok(built) => built,
        Err(error) => {
            channel::send_failure(&agent, &error);
            std::process::exit(126);
        }
    };
    drop(member);
    let master = terminal.as_ref().map(|terminal| terminal.master.as_fd());
    let descriptors: Vec<_> = std::iter::once(files.directory().as_fd()).chain(master).collect();
    if channel::send_ready(&agent, &descriptors).is_err() {
        std::process::exit(126);
    }
    drop(files);
    // Closes the master: an open one would hide the agent's hang-up from the container.
    let _slave = terminal.map(|terminal| terminal.slave);
    if apart {
        launch::run_apart(&plan, &agent);
    }
    if !channel::wait_go(&agent) {
        std::process::exit(126);
    }
    // SAFETY: the plan lives until this process executes its command.
    unsafe { launch::run((&raw const plan).cast::<c_void>()) }
}

/// A container whose init waits for its command.
struct Built {
    plan: LaunchPlan,
    terminal: Option<pty::Terminal>,
    files: Files,
    /// Whether the stage is outside the PID namespace of the process that it creates.
    apart: bool,
}

fn build(spec: &StageSpec, member: &OwnedFd) -> Result<Built> {
    let process = spec.process()?;
    if spec.apart {
        plan::adopt_oom_score(process)?;
        namespaces::set_pid_namespace(member.as_fd()).attempt(|| "join the sandbox's PID namespace")?;
    }
    // The modes of created files are exact.
    rustix::process::umask(Mode::empty());
    rustix::system::sethostname(spec.hostname.as_bytes()).attempt(|| "set the hostname")?;
    // SAFETY: this process has one thread, so no other one loses state that it relies on.
    unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) }.attempt(|| "create a cgroup namespace")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).attempt(|| "make mounts private")?;
    let root = rootfs::mount(&spec.filesystem)?;
    let files = Files::mount(&spec.filesystem)?;
    // A new /proc shows the PID namespace of the process that mounts it.
    let proc = if spec.apart {
        let of_holder = || mount_api::clone_of(rustix::fs::CWD, "/proc", mount_api::Flags::empty());
        namespaces::among_mounts_of(member.as_fd(), of_holder)?
    } else {
        mount_api::new_filesystem("proc", &[], mount_api::NO_PRIVILEGES)?
    };
    standard_mounts::mount(&root, &spec.filesystem.shm_dir, &proc)?;
    files.mount_identity(&root, &spec.hostname, &spec.filesystem.hosts, &spec.filesystem.resolv_conf)?;
    request_mounts::mount(&root, &spec.filesystem, &files)?;
    in_root::ensure_directory(&root, command::working_directory(&process.cwd)?)?;
    pivot::into(&root)?;
    sysctl::apply(&spec.sysctls)?;
    masks::apply()?;
    if spec.filesystem.read_only {
        rootfs::make_read_only(&root)?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).attempt(|| "open the root")?;
    let mut plan =
        LaunchPlan::prepare(process, &Accounts::read(&root), &spec.hostname, seccomp::from_bytes(&spec.filter))?;
    plan.report = CHANNEL;
    plan.stdio = [0, 1, 2];
    let terminal = if spec.own_terminal { Some(pty::open(&root)?) } else { None };
    descriptors::lift_streams(&mut plan, terminal.as_ref())?;
    Ok(Built { plan, terminal, files, apart: spec.apart })
}
