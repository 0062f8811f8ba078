//! Stages: the agent's own program, started again as a single thread to do what a process with many threads cannot.
//!
//! - `stage-init` becomes a container's init: it builds the container from within its namespaces, waits to be told to go,
//!   and executes the command ([`super::stage_init`]).
//! - `stage-exec` prepares an exec where a container could trace it, and out of its sight ([`super::stage_exec`]).
//! - `stage-holder` is PID 1 of a shared PID namespace ([`super::stage_holder`]).
//!
//! Any other exec needs no stage; see [`super::exec`].

use std::ffi::{CStr, CString, OsString, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::c_strings::Strings;
use super::channel::{self, Message};
use super::error::{Attempt, Result, RuntimeError};
use super::launch::fail;
use super::namespaces::OWN_PID;
use super::raw::sys;
use super::report::{Report, Step};
use super::spawn::{self, Child, ChildStack, Memory};
use super::{stage_exec, stage_holder, stage_init};

const INIT: &CStr = c"stage-init";
const EXEC: &CStr = c"stage-exec";
const HOLDER: &CStr = c"stage-holder";

/// Where a stage finds its channel, its spec, and the pidfd of a process whose namespaces it is to join, if any.
pub(super) const CHANNEL: i32 = 3;
pub(super) const SPEC: i32 = 4;
pub(super) const MEMBER: i32 = 5;
const FIRST_FREE: i32 = 10;

/// Runs a stage and never returns, if this process is to be one. Call it first in `main`.
pub fn dispatch(arguments: &[OsString]) {
    if let Some(name) = arguments.get(1) {
        run(name.as_encoded_bytes());
    }
}

/// Runs the stage of this name, if it is one.
pub(super) fn run(name: &[u8]) {
    if name == INIT.to_bytes() {
        stage_init::run();
    }
    if name == EXEC.to_bytes() {
        stage_exec::run();
    }
    if name == HOLDER.to_bytes() {
        stage_holder::run();
    }
}

/// A stage to start: descriptors are put in place, then the agent's program is executed.
struct Entry {
    descriptors: [(i32, i32); 6],
    executable: i32,
    argv: Strings,
    envp: Strings,
}

/// Starts an init stage by `create`, which chooses the namespaces it is born in.
pub(super) fn spawn_init(
    cgroup: &OwnedFd,
    stdio: [BorrowedFd<'_>; 3],
    channel: &OwnedFd,
    spec: &[u8],
    member: Option<BorrowedFd<'_>>,
    create: impl FnOnce(&dyn Fn(u64) -> std::result::Result<Child, Errno>) -> Result<Child>,
) -> Result<Child> {
    let spec = memory_file(spec)?;
    let member = member.unwrap_or(spec.as_fd());
    let lifted = lift(&[stdio[0], stdio[1], stdio[2], channel.as_fd(), spec.as_fd(), member])?;
    spawn_stage(INIT, cgroup.as_fd(), &lifted, create)
}

/// Starts an exec stage in the agent's own namespaces. It is to join those of `member`.
pub(super) fn spawn_exec(
    cgroup: BorrowedFd<'_>,
    stdio: [BorrowedFd<'_>; 3],
    channel: &OwnedFd,
    spec: &[u8],
    member: BorrowedFd<'_>,
) -> Result<Child> {
    let spec = memory_file(spec)?;
    let lifted = lift(&[stdio[0], stdio[1], stdio[2], channel.as_fd(), spec.as_fd(), member])?;
    spawn_stage(EXEC, cgroup, &lifted, |spawn| spawn(0).attempt(|| "create an exec's stage"))
}

/// Starts a holder in a PID namespace of its own, and waits until it is there. It lives as long as its channel.
pub(super) fn spawn_holder() -> Result<(Child, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty()).attempt(|| "open /dev/null")?;
    let (ours, theirs) = channel::pair()?;
    let null_fd = null.as_fd();
    let lifted = lift(&[null_fd, null_fd, null_fd, theirs.as_fd(), null_fd, null_fd])?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let cgroup = rustix::fs::open(own_cgroup()?, flags, Mode::empty()).attempt(|| "open the agent's cgroup")?;
    let child = spawn_stage(HOLDER, cgroup.as_fd(), &lifted, |spawn| {
        spawn(OWN_PID).attempt(|| "create the holder of the shared PID namespace")
    })?;
    drop((theirs, lifted));
    match channel::receive(&ours, stage_init::BUILD_TIMEOUT, "the holder of the shared PID namespace")? {
        Message::Ready(_) => Ok((child, ours)),
        Message::Failed(error) => Err(error),
        other => Err(RuntimeError::Stage(format!("the holder of the shared PID namespace failed: {other:?}"))),
    }
}

fn spawn_stage(
    name: &CStr,
    cgroup: BorrowedFd<'_>,
    lifted: &[OwnedFd],
    create: impl FnOnce(&dyn Fn(u64) -> std::result::Result<Child, Errno>) -> Result<Child>,
) -> Result<Child> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let executable = rustix::fs::open("/proc/self/exe", flags, Mode::empty()).attempt(|| "open the agent's program")?;
    // Above the numbers that are about to be overwritten.
    let executable = rustix::io::fcntl_dupfd_cloexec(&executable, FIRST_FREE).attempt(|| "duplicate a descriptor")?;
    let mut descriptors = [(-1, -1); 6];
    for ((number, slot), fd) in (0..).zip(&mut descriptors).zip(lifted) {
        *slot = (fd.as_raw_fd(), number);
    }
    let argv = vec![CString::from(c"paddock"), CString::from(name)];
    let entry = Box::new(Entry {
        descriptors,
        executable: executable.as_raw_fd(),
        argv: Strings::new(argv),
        envp: Strings::new(Vec::new()),
    });
    let stack = ChildStack::new().attempt(|| "map a stage's stack")?;
    let (watch, mark) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).attempt(|| "create a pipe")?;
    let argument = (&raw const *entry).cast::<c_void>();
    // SAFETY: `entry` and `stack` are kept until the pipe, which the stage's execve or end closes, says so.
    let spawn =
        |namespaces: u64| unsafe { spawn::spawn(namespaces, Memory::Shared, cgroup, &stack, execute, argument) };
    let created = create(&spawn);
    drop(mark);
    if created.is_ok() {
        let gone = channel::wait_readable(watch.as_fd(), stage_init::BUILD_TIMEOUT, "the stage's program");
        if let Err(error) = gone {
            // The stage may still use them.
            std::mem::forget((entry, stack));
            return Err(error);
        }
    }
    created
}

unsafe extern "C" fn execute(entry: *const c_void) -> ! {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    // SAFETY: `entry` is the [`Entry`] that `spawn_stage` keeps; system calls on its data.
    unsafe {
        let entry = &*entry.cast::<Entry>();
        for (from, to) in &entry.descriptors {
            sys!(libc::SYS_dup3, *from, *to, 0);
        }
        sys!(libc::SYS_close_range, MEMBER + 1, u32::MAX, CLOSE_RANGE_CLOEXEC);
        let result = sys!(
            libc::SYS_execveat,
            entry.executable,
            c"".as_ptr(),
            entry.argv.as_ptr(),
            entry.envp.as_ptr(),
            libc::AT_EMPTY_PATH
        );
        fail(CHANNEL, Report::new(Step::Stage, -result as i32))
    }
}

/// Duplicates above every number that a stage gives a meaning.
fn lift(fds: &[BorrowedFd<'_>]) -> Result<Vec<OwnedFd>> {
    let lifted = fds.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, FIRST_FREE));
    lifted.collect::<std::result::Result<_, _>>().attempt(|| "duplicate a descriptor")
}

fn memory_file(bytes: &[u8]) -> Result<OwnedFd> {
    let what = || "keep a stage's spec";
    let file = rustix::fs::memfd_create("spec", MemfdFlags::CLOEXEC).attempt(what)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest).attempt(what)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    rustix::fs::seek(&file, SeekFrom::Start(0)).attempt(what)?;
    Ok(file)
}

/// The directory of the cgroup (v2) that the agent is in: a holder is of no container.
fn own_cgroup() -> Result<std::path::PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").attempt(|| "read the agent's mounts")?;
    let mut mounts = text.lines().filter(|line| line.contains(" - cgroup2 "));
    let root = mounts.next().and_then(|line| line.split(' ').nth(4)).unwrap_or("/sys/fs/cgroup");
    let text = std::fs::read_to_string("/proc/self/cgroup").attempt(|| "read the agent's cgroup")?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
    Ok(std::path::Path::new(root).join(own))
}
