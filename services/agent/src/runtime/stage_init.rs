//! The init stage: builds the container from within, waits, and becomes the user's process.
//!
//! It was born in the container's cgroup and namespaces, so that whatever it mounts or leaves behind goes away with the
//! container. It has one thread and its own memory, so it may allocate. A failure is told to the agent, which then kills
//! what there is: nothing has to be undone here.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use prost::Message;
use rustix::fs::{Mode, OFlags};
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::error::{Attempt, Result, RuntimeError};
use super::file_mounts::Files;
use super::launch_plan::LaunchPlan;
use super::stage::{CHANNEL, MEMBER, SPEC};
use super::stage_spec::StageSpec;
use super::user::Accounts;
use super::{
    channel, command, in_root, launch, launch_plan, masks, mount_api, namespaces, pivot, pty, request_mounts, rootfs,
    seccomp, spawn, standard_mounts, sysctl,
};

/// How long building a container may take.
pub(super) const BUILD_TIMEOUT: Duration = Duration::from_secs(30);

/// Runs the stage.
pub(super) fn run() -> ! {
    rustix::thread::set_name(c"paddock-init").ok();
    spawn::forbid_tracing();
    // SAFETY: the stage was started with these two in place, and nothing else owns them.
    let (agent, spec, member) =
        unsafe { (OwnedFd::from_raw_fd(CHANNEL), OwnedFd::from_raw_fd(SPEC), OwnedFd::from_raw_fd(MEMBER)) };
    let (plan, terminal, apart) = match read_spec(&spec).and_then(|spec| build(&spec, &member)) {
        Ok(built) => built,
        Err(error) => {
            channel::send_failure(&agent, &error);
            std::process::exit(126);
        }
    };
    drop((spec, member));
    let master = terminal.as_ref().map(|terminal| terminal.master.as_fd());
    if channel::send_ready(&agent, master).is_err() {
        std::process::exit(126);
    }
    // A master that stays open here would hide the agent's hang-up from the container.
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

fn build(spec: &StageSpec, member: &OwnedFd) -> Result<(LaunchPlan, Option<pty::Terminal>, bool)> {
    let process = spec.process.as_ref().ok_or_else(|| RuntimeError::InvalidSpec("there is no process".into()))?;
    if spec.apart {
        launch_plan::adopt_oom_score(process)?;
        namespaces::set_pid_namespace(member.as_fd()).attempt(|| "join the sandbox's PID namespace")?;
    }
    // Modes are given exactly.
    rustix::process::umask(Mode::empty());
    rustix::system::sethostname(spec.hostname.as_bytes()).attempt(|| "set the hostname")?;
    // SAFETY: this process has one thread, so no other one loses what it relies on.
    unsafe { unshare_unsafe(UnshareFlags::NEWCGROUP) }.attempt(|| "make a cgroup namespace")?;
    let private = MountPropagationFlags::PRIVATE | MountPropagationFlags::REC;
    mount_change("/", private).attempt(|| "make mounts private")?;
    let root = rootfs::mount(spec)?;
    let files = Files::mount(spec)?;
    // A new /proc is about the PID namespace of the one who mounts it.
    let proc = if spec.apart {
        let of_holder = || mount_api::clone_of(rustix::fs::CWD, "/proc", mount_api::Flags::empty());
        namespaces::among_mounts_of(member.as_fd(), of_holder)?
    } else {
        mount_api::new_filesystem("proc", &[], mount_api::NO_PRIVILEGES)?
    };
    standard_mounts::mount(&root, spec, &proc)?;
    files.mount_identity(&root, spec)?;
    request_mounts::mount(&root, spec, &files)?;
    in_root::ensure_directory(&root, command::working_directory(&process.cwd)?)?;
    pivot::into(&root)?;
    sysctl::apply(&spec.sysctls)?;
    masks::apply()?;
    if spec.read_only {
        rootfs::make_read_only(&root)?;
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).attempt(|| "open the root")?;
    let mut plan =
        LaunchPlan::prepare(process, &Accounts::read(&root), &spec.hostname, seccomp::from_bytes(&spec.filter))?;
    plan.report = CHANNEL;
    plan.stdio = [0, 1, 2];
    let terminal = if spec.own_terminal { Some(pty::open(&root)?) } else { None };
    lift_streams(&mut plan, terminal.as_ref())?;
    Ok((plan, terminal, spec.apart))
}

/// The launch wants its streams above the places they go to.
pub(super) fn lift_streams(plan: &mut LaunchPlan, terminal: Option<&pty::Terminal>) -> Result<()> {
    for slot in &mut plan.stdio {
        let from = terminal.map_or(*slot, |terminal| terminal.slave.as_raw_fd());
        // SAFETY: an open descriptor, borrowed for the call.
        let from = unsafe { BorrowedFd::borrow_raw(from) };
        let lifted = rustix::io::fcntl_dupfd_cloexec(from, 10).attempt(|| "duplicate a standard stream")?;
        *slot = lifted.into_raw_fd();
    }
    Ok(())
}

pub(super) fn read_spec(file: &OwnedFd) -> Result<StageSpec> {
    let size = rustix::fs::fstat(file).attempt(|| "look at the spec")?.st_size;
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut filled = 0;
    while let Some(rest) = bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match rustix::io::read(file, rest).attempt(|| "read the spec")? {
            0 => break,
            count => filled += count,
        }
    }
    StageSpec::decode(bytes.as_slice()).map_err(|error| RuntimeError::Stage(format!("the spec is broken: {error}")))
}
