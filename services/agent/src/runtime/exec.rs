//! One more process in a running container.
//!
//! Everything is looked up and laid out here; the new process is born in the container's cgroup and PID namespace,
//! joins the other namespaces by the init's pidfd in one call, and executes. There is no process in between and no
//! program but the command's.

use std::ffi::c_void;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, pidfd_send_signal};

use super::channel::wait_readable;
use super::container::{Container, ExecOutcome};
use super::error::{Attempt, Result, RuntimeError};
use super::launch;
use super::launch_plan::{LaunchPlan, Stdio};
use super::namespaces::{self, JOINED};
use super::report::{Meaning, Report, Subject};
use super::spawn::{self, Child, ChildStack, Memory};
use super::user::Accounts;
use crate::pb;

const EXEC_TIMEOUT: Duration = Duration::from_secs(10);
const KILL_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn exec(container: &Container, exec_id: &str, process: &pb::Process, stdio: Stdio) -> Result<ExecOutcome> {
    let accounts = Accounts::read(&container.root()?);
    let filter = LaunchPlan::filter(process)?;
    let mut plan = Box::new(LaunchPlan::prepare(process, &accounts, &container.hostname, filter)?);
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
    // SAFETY: `plan` and `stack` are kept until the report pipe says that the child uses them no more.
    let created =
        namespaces::born_beside(init, || unsafe { spawn::spawn(0, memory, cgroup, &stack, launch::run, argument) });
    let child = created.map_err(|errno| match errno {
        Errno::SRCH => container.not_running(),
        // A PID namespace without its PID 1 takes no more processes.
        Errno::NOMEM if namespaces::has_ended(init) => container.not_running(),
        errno => RuntimeError::system(format!("create the process of exec {exec_id}"), errno),
    })?;
    drop((report, streams));
    if let Err(error) = wait(&reports, &child) {
        // It may still use them; better 64 KiB lost than memory shared with a stranger.
        std::mem::forget((plan, stack));
        return Err(error);
    }
    let mut bytes = [0u8; 8];
    let count = rustix::io::read(&reports, &mut bytes).attempt(|| "read an exec's report")?;
    let Some(report) = Report::decode(bytes.get(..count).unwrap_or_default()) else {
        return Ok(ExecOutcome::Running { pid: child.pid });
    };
    match report.meaning(&Subject::of(process)) {
        Meaning::CannotExecute { code, reason } => Ok(ExecOutcome::Failed { code, reason }),
        Meaning::Gone => Err(container.not_running()),
        Meaning::Failed(error) => Err(error),
    }
}

/// Waits for the report or its absence. A child that does not get there in time (its container can stop it) is killed;
/// an error means that it could not be seen to end.
fn wait(reports: &OwnedFd, child: &Child) -> Result<()> {
    let what = "the start of an exec's command";
    wait_readable(reports.as_fd(), EXEC_TIMEOUT, what).or_else(|_| {
        pidfd_send_signal(&child.pidfd, Signal::KILL).ok();
        wait_readable(reports.as_fd(), KILL_TIMEOUT, what)
    })
}
