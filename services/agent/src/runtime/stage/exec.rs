//! The exec stage: prepares an exec when a container may trace any process of its PID namespace (CAP_SYS_PTRACE).
//!
//! It runs outside that namespace, in memory that contains nothing of the agent except this request. It joins the container's
//! other namespaces, drops its rights and closes its descriptors, and only then creates the process where the container sees it
//! ([`launch::run_apart`]).

use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{Mode, OFlags};

use super::descriptors::{self, CHANNEL};
use super::spec::StageSpec;
use crate::runtime::error::{Attempt, Result};
use crate::runtime::launch;
use crate::runtime::launch::channel;
use crate::runtime::launch::plan::{self, LaunchPlan};
use crate::runtime::launch::spawn;
use crate::runtime::namespaces;
use crate::runtime::rights::seccomp;
use crate::runtime::rights::user::Accounts;

/// Runs the stage.
pub fn run() -> ! {
    rustix::thread::set_name(c"paddock-exec").ok();
    spawn::forbid_tracing();
    // SAFETY: the stage was started with these descriptors, and nothing else owns them.
    let (agent, spec, member) = unsafe { descriptors::take() };
    match prepare(spec, &member) {
        Ok(plan) => launch::run_apart(&plan, &agent),
        Err(error) => {
            channel::send_failure(&agent, &error);
            std::process::exit(126);
        }
    }
}

fn prepare(spec: OwnedFd, member: &OwnedFd) -> Result<LaunchPlan> {
    let spec = StageSpec::read(spec)?;
    let process = spec.process()?;
    plan::adopt_oom_score(process)?;
    namespaces::join_all(member.as_fd()).attempt(|| "join the container's namespaces")?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open("/", flags, Mode::empty()).attempt(|| "open the root")?;
    let filter = seccomp::from_bytes(&spec.filter);
    let mut plan = LaunchPlan::prepare(process, &Accounts::read(&root), &spec.hostname, filter)?;
    plan.report = CHANNEL;
    plan.stdio = [0, 1, 2];
    descriptors::lift_streams(&mut plan, None)?;
    Ok(plan)
}
