//! The agent's side of a stage: starts the agent's program again, as a stage, with its descriptors at their numbers.

use std::ffi::{CStr, CString, c_void};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::descriptors::{CHANNEL, FIRST_FREE, MEMBER};
use super::names::{EXEC, HOLDER, INIT};
use super::spec::StageSpec;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::launch::c_strings::Strings;
use crate::runtime::launch::channel::{self, Message};
use crate::runtime::launch::fail;
use crate::runtime::launch::report::{Report, Step};
use crate::runtime::launch::spawn::{self, Child, ChildStack, Memory};
use crate::runtime::namespaces::OWN_PID;
use crate::runtime::raw::sys;

/// How long a stage may take to become ready.
pub const BUILD_TIMEOUT: Duration = Duration::from_secs(30);

/// A stage to start: its descriptors are installed, then the agent's program is executed.
struct Entry {
    /// In the order of their numbers, from 0.
    descriptors: Vec<i32>,
    executable: i32,
    argv: Strings,
    envp: Strings,
}

/// Starts an init stage with `create`, which chooses its namespaces.
pub fn spawn_init(
    cgroup: BorrowedFd<'_>,
    [stdin, stdout, stderr]: [BorrowedFd<'_>; 3],
    channel: &OwnedFd,
    spec: &StageSpec,
    member: Option<BorrowedFd<'_>>,
    create: impl FnOnce(&dyn Fn(u64) -> std::result::Result<Child, Errno>) -> Result<Child>,
) -> Result<Child> {
    let spec = spec.write()?;
    let member = member.unwrap_or(spec.as_fd());
    spawn_stage(INIT, cgroup, [stdin, stdout, stderr, channel.as_fd(), spec.as_fd(), member], create)
}

/// Starts an exec stage in the agent's namespaces. It joins those of `member`.
pub fn spawn_exec(
    cgroup: BorrowedFd<'_>,
    [stdin, stdout, stderr]: [BorrowedFd<'_>; 3],
    channel: &OwnedFd,
    spec: &StageSpec,
    member: BorrowedFd<'_>,
) -> Result<Child> {
    let spec = spec.write()?;
    let create =
        |spawn: &dyn Fn(u64) -> std::result::Result<Child, Errno>| spawn(0).attempt(|| "create an exec's stage");
    spawn_stage(EXEC, cgroup, [stdin, stdout, stderr, channel.as_fd(), spec.as_fd(), member], create)
}

/// Starts a holder in a new PID namespace, and waits until it is ready. It exits when its channel closes.
pub fn spawn_holder() -> Result<(Child, OwnedFd)> {
    let flags = OFlags::RDWR | OFlags::CLOEXEC;
    let null = rustix::fs::open("/dev/null", flags, Mode::empty()).attempt(|| "open /dev/null")?;
    let (ours, theirs) = channel::pair()?;
    let null = null.as_fd();
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let cgroup = rustix::fs::open(own_cgroup()?, flags, Mode::empty()).attempt(|| "open the agent's cgroup")?;
    let child = spawn_stage(HOLDER, cgroup.as_fd(), [null, null, null, theirs.as_fd(), null, null], |spawn| {
        spawn(OWN_PID).attempt(|| "create the holder of the shared PID namespace")
    })?;
    drop(theirs);
    match channel::receive(&ours, BUILD_TIMEOUT, "the holder of the shared PID namespace")? {
        Message::Ready(_) => Ok((child, ours)),
        Message::Failed(error) => Err(error),
        other => Err(RuntimeError::Stage(format!("the holder of the shared PID namespace failed: {other:?}"))),
    }
}

fn spawn_stage(
    name: &CStr,
    cgroup: BorrowedFd<'_>,
    descriptors: [BorrowedFd<'_>; 6],
    create: impl FnOnce(&dyn Fn(u64) -> std::result::Result<Child, Errno>) -> Result<Child>,
) -> Result<Child> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let executable = rustix::fs::open("/proc/self/exe", flags, Mode::empty()).attempt(|| "open the agent's program")?;
    // Above the numbers that are overwritten.
    let lift = |fd| rustix::io::fcntl_dupfd_cloexec(fd, FIRST_FREE).attempt(|| "duplicate a descriptor");
    let executable = lift(executable.as_fd())?;
    let lifted = descriptors.into_iter().map(lift).collect::<Result<Vec<_>>>()?;
    let argv = vec![CString::from(c"paddock"), CString::from(name)];
    let entry = Box::new(Entry {
        descriptors: lifted.iter().map(AsRawFd::as_raw_fd).collect(),
        executable: executable.as_raw_fd(),
        argv: Strings::new(argv),
        envp: Strings::new(Vec::new()),
    });
    let stack = ChildStack::new().attempt(|| "map a stage's stack")?;
    let (watch, mark) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC).attempt(|| "create a pipe")?;
    let argument = (&raw const *entry).cast::<c_void>();
    // SAFETY: `entry` and `stack` are kept until the stage's execve or exit closes the pipe.
    let spawn =
        |namespaces: u64| unsafe { spawn::spawn(namespaces, Memory::Shared, cgroup, &stack, execute, argument) };
    let created = create(&spawn);
    drop(mark);
    if created.is_ok() {
        let gone = channel::wait_readable(watch.as_fd(), BUILD_TIMEOUT, "the stage's program");
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
        for (to, from) in entry.descriptors.iter().enumerate() {
            sys!(libc::SYS_dup3, *from, to, 0);
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

/// The directory of the agent's cgroup (v2), for the holder, which belongs to no container.
fn own_cgroup() -> Result<std::path::PathBuf> {
    let text = std::fs::read_to_string("/proc/self/mountinfo").attempt(|| "read the agent's mounts")?;
    let mut mounts = text.lines().filter(|line| line.contains(" - cgroup2 "));
    let root = mounts.next().and_then(|line| line.split(' ').nth(4)).unwrap_or("/sys/fs/cgroup");
    let text = std::fs::read_to_string("/proc/self/cgroup").attempt(|| "read the agent's cgroup")?;
    let own = text.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or("");
    Ok(std::path::Path::new(root).join(own))
}
