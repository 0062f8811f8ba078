//! Starts another process in a running container.
//!
//! Everything is looked up and prepared here. The new process is created in the container's cgroup and PID namespace, joins the
//! other namespaces through the init's pidfd in one call, and executes the command. There is no process in between and no other
//! program. If a container may trace the processes that it sees, a stage does the same out of its sight.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal};

use super::Container;
use crate::pb;
use crate::runtime::cgroup::Cgroup;
use crate::runtime::error::{Attempt, Result, RuntimeError};
use crate::runtime::launch;
use crate::runtime::launch::channel::{self, Message, wait_readable};
use crate::runtime::launch::plan::{self, LaunchPlan, Stdio};
use crate::runtime::launch::report::{Meaning, Report, Subject};
use crate::runtime::launch::spawn::{self, Child, ChildStack, Memory};
use crate::runtime::namespaces::{self, JOINED};
use crate::runtime::rights::seccomp::{self, Filter};
use crate::runtime::rights::user::Accounts;
use crate::runtime::stage::{self, StageSpec};

const EXEC_TIMEOUT: Duration = Duration::from_secs(10);
const WHAT: &str = "the start of a process";
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

/// The outcome of an exec.
#[derive(Debug, PartialEq, Eq)]
pub enum ExecOutcome {
    /// The command runs as a child of the agent.
    Running {
        /// PID in the guest.
        pid: i32,
    },
    /// The command cannot be executed.
    Failed {
        /// 126 or 127.
        code: i32,
        /// Why.
        reason: String,
    },
}

impl Container {
    /// Starts another process. `exec_id` is for messages.
    pub fn exec(&self, exec_id: &str, process: &pb::Process, stdio: Stdio) -> Result<ExecOutcome> {
        let filter = LaunchPlan::filter(process)?;
        match plan::permit_visible_launch() {
            Some(_permit) => in_sight(self, exec_id, process, stdio, filter),
            None => apart(self, process, stdio, filter),
        }
    }
}

/// Prepares the process with a stage, which the container does not see.
fn apart(container: &Container, process: &pb::Process, stdio: Stdio, filter: Option<Filter>) -> Result<ExecOutcome> {
    let subject = Subject::of(process);
    let spec = StageSpec {
        hostname: container.hostname(),
        filter: filter.map_or_else(Vec::new, |filter| seccomp::to_bytes(&filter)),
        process: Some(pb::Process { terminal: stdio.terminal, ..process.clone() }),
        apart: true,
        ..Default::default()
    };
    let streams = stdio.into_descriptors()?;
    let (ours, theirs) = channel::pair()?;
    let init = container.init.pidfd.as_fd();
    let borrowed = streams.each_ref().map(AsFd::as_fd);
    let stage = stage::spawn_exec(container.open_cgroup.as_fd(), borrowed, &theirs, &spec, init)?;
    drop((theirs, streams));
    let kill = |child: &Child| {
        pidfd_send_signal(&child.pidfd, Signal::KILL).ok();
    };
    let ended = |error| if namespaces::has_ended(init) { container.not_running() } else { error };
    let child = take_born(&ours, &container.cgroup, &subject).inspect_err(|_| kill(&stage)).map_err(ended)?;
    channel::send_go(&ours);
    match channel::receive(&ours, EXEC_TIMEOUT, WHAT).inspect_err(|_| kill(&child))? {
        Message::Closed => Ok(ExecOutcome::Running { pid: child.pid }),
        Message::Launch(report) => outcome(container, report, &subject),
        Message::Failed(error) => Err(error),
        Message::Ready(_) | Message::Born(..) => Err(unexpected()),
    }
}

/// Takes over the process that a stage created in a container's PID namespace. A tracer in the container may forge the stage's
/// messages, so the PID must belong to a process of that container.
pub fn take_born(channel: &OwnedFd, cgroup: &Cgroup, subject: &Subject) -> Result<Child> {
    match channel::receive(channel, EXEC_TIMEOUT, WHAT)? {
        Message::Born(pid, pidfd) if pid > 0 && pid_of(&pidfd) == Some(pid) && cgroup.holds(pid) => {
            Ok(Child { pid, pidfd })
        }
        Message::Launch(report) => match report.meaning(subject) {
            Meaning::Failed(error) => Err(error),
            Meaning::CannotExecute { .. } | Meaning::Gone => Err(unexpected()),
        },
        Message::Failed(error) => Err(error),
        Message::Closed => Err(RuntimeError::Stage("the process's stage ended without a message".into())),
        Message::Born(..) | Message::Ready(_) => Err(unexpected()),
    }
}

fn unexpected() -> RuntimeError {
    RuntimeError::Stage("the process's stage sent an unexpected message".into())
}

/// The PID of a pidfd's process.
fn pid_of(pidfd: &OwnedFd) -> Option<i32> {
    let text = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", pidfd.as_raw_fd())).ok()?;
    text.lines().find_map(|line| line.strip_prefix("Pid:"))?.trim().parse().ok()
}

/// Creates the process directly in the container's PID namespace.
fn in_sight(
    container: &Container,
    exec_id: &str,
    process: &pb::Process,
    stdio: Stdio,
    filter: Option<Filter>,
) -> Result<ExecOutcome> {
    let root = container.root()?;
    let mut plan = Box::new(LaunchPlan::prepare(process, &Accounts::read(&root), &container.hostname(), filter)?);
    drop(root);
    plan.terminal = stdio.terminal;
    let streams = stdio.into_descriptors()?;
    let (reports, report) = pipe_with(PipeFlags::CLOEXEC).attempt(|| "create a pipe")?;
    plan.stdio = streams.each_ref().map(AsRawFd::as_raw_fd);
    plan.join = Some((container.init.pidfd.as_raw_fd(), JOINED));
    plan.report = report.as_raw_fd();
    let stack = ChildStack::new().attempt(|| "map a stack")?;
    let init = container.init.pidfd.as_fd();
    let cgroup = container.open_cgroup.as_fd();
    let memory = if plan.may_share_memory() { Memory::Shared } else { Memory::Copied };
    let argument = (&raw const *plan).cast::<c_void>();
    // SAFETY: `plan` and `stack` are kept until the report pipe shows that the child does not use them any more.
    let created =
        namespaces::born_beside(init, || unsafe { spawn::spawn(0, memory, cgroup, &stack, launch::run, argument) });
    let child = created.map_err(|errno| match errno {
        Errno::SRCH => container.not_running(),
        // A PID namespace whose PID 1 has exited accepts no more processes.
        Errno::NOMEM if namespaces::has_ended(init) => container.not_running(),
        errno => RuntimeError::system(format!("create the process of exec {exec_id}"), errno),
    })?;
    drop((report, streams));
    if let Err(error) = wait(reports.as_fd(), EXEC_TIMEOUT, &child) {
        // The child may still use them: leaking 64 KiB is better than freeing memory in use.
        std::mem::forget((plan, stack));
        return Err(error);
    }
    let mut bytes = [0u8; 8];
    let count = rustix::io::read(&reports, &mut bytes).attempt(|| "read an exec's report")?;
    let Some(report) = Report::decode(bytes.get(..count).unwrap_or_default()) else {
        return Ok(ExecOutcome::Running { pid: child.pid });
    };
    // The child uses the stack and the plan until it exits.
    if let Err(error) = wait(child.pidfd.as_fd(), KILL_TIMEOUT, &child) {
        std::mem::forget((plan, stack));
        return Err(error);
    }
    outcome(container, report, &Subject::of(process))
}

/// Converts a report to the caller's outcome.
fn outcome(container: &Container, report: Report, subject: &Subject) -> Result<ExecOutcome> {
    match report.meaning(subject) {
        Meaning::CannotExecute { code, reason } => Ok(ExecOutcome::Failed { code, reason }),
        Meaning::Gone => Err(container.not_running()),
        Meaning::Failed(error) => Err(error),
    }
}

/// Waits for a descriptor of a child: its report, or its exit. Kills a child that is late (its container can stop it). An error
/// means that even then it did not exit in time.
fn wait(fd: BorrowedFd<'_>, timeout: Duration, child: &Child) -> Result<()> {
    wait_readable(fd, timeout, WHAT).or_else(|_| {
        pidfd_send_signal(&child.pidfd, Signal::KILL).ok();
        wait_readable(fd, KILL_TIMEOUT, WHAT)
    })
}
