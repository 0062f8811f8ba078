//! Exec: starts another process in a running container.

use std::sync::Arc;
use std::time::SystemTime;

use super::{blocking, check_id, detached, options};
use crate::agent::Agent;
use crate::container::Container;
use crate::container::error::ContainerError;
use crate::pb;
use crate::process::Process;
use crate::process::ends::{Ends, terminal_stdio};
use crate::runtime::ExecOutcome;
use crate::sync::lock;

/// Starts a process. When this returns, the container's table has it.
pub async fn exec(agent: Arc<Agent>, start: pb::ExecStart) -> Result<Arc<Process>, ContainerError> {
    agent.sandbox()?;
    check_id("exec_id", &start.exec_id)?;
    let container = agent.containers.get(&start.container_id)?;
    container.require("execute in", pb::ContainerState::Running)?;
    lock(&container.execs).reserve(&container.id, &start.exec_id)?;
    let exec_id = start.exec_id.clone();
    let table = container.clone();
    let work = async move {
        let result = run(agent, container, start).await;
        if result.is_err() {
            lock(&table.execs).cancel(&exec_id);
        }
        result
    };
    detached("execute a process", work).await
}

async fn run(
    agent: Arc<Agent>,
    container: Arc<Container>,
    start: pb::ExecStart,
) -> Result<Arc<Process>, ContainerError> {
    let missing = || ContainerError::Invalid("process is missing".to_owned());
    let spec = start.process.ok_or_else(missing)?;
    let options = options(&spec)?;
    let (id, exec_id) = (container.id.clone(), start.exec_id);
    let broken = ContainerError::of_process(&id, &exec_id);
    let (mut ends, child) = match options.terminal {
        true => {
            let runtime = container.runtime.clone();
            let (master, slave) = blocking("open a terminal in", &id, move || runtime.open_pty()).await?;
            let ends = Ends::terminal(master, spec.tty_size.as_ref()).map_err(&broken)?;
            (ends, terminal_stdio(slave).map_err(broken)?)
        }
        false => Ends::pipes(options.stdin).map_err(broken)?,
    };
    let process = Process::new(&id, &exec_id, options, &agent.budget, ends.terminal.take());
    let starting = agent.reaper.starting();
    let runtime = container.runtime.clone();
    let outcome = blocking("execute in", &id, move || runtime.exec(&exec_id, &spec, child)).await?;
    lock(&container.execs).insert(process.clone());
    match outcome {
        ExecOutcome::Running { pid } => {
            ends.start(&process);
            agent.watch(&starting, &container, &process, pid);
        }
        ExecOutcome::Failed { code, reason } => {
            process.abandon();
            let status =
                pb::ExitStatus { code, reason, exited_at: Some(SystemTime::now().into()), ..pb::ExitStatus::default() };
            agent.end(&container, &process, status);
        }
    }
    Ok(process)
}
