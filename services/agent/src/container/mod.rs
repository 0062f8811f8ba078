//! A container as clients see it: a state, an init process, execs.
//!
//! ```text
//!   created --start--> running <--pause/resume--> paused
//!      |                  |                          |
//!      +---- the init process has ended: stopped ----+
//! ```
//!
//! No call sets `stopped`: it follows from the init's exit. Calls that change a container take its `operation` lock; reads take
//! none.

pub mod error;
pub mod execs;
pub mod oom;
pub mod registry;

use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use crate::pb;
use crate::process::Process;
use crate::runtime;
use crate::sync::lock;
use error::ContainerError;
use execs::Execs;

/// How long after an OOM kill a SIGKILL is attributed to it.
const OOM_BLAME: std::time::Duration = std::time::Duration::from_secs(10);

/// The phase of a container whose init has not exited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Created,
    /// The start is in progress. If init exits, the exit is not published yet, because its reason may follow.
    Starting,
    Running,
    Paused,
}

/// One container.
pub struct Container {
    pub id: String,
    /// Distinguishes the container from an earlier one with the same id. Given by the host.
    pub instance: String,
    pub runtime: Arc<runtime::Container>,
    pub init: Arc<Process>,
    pub execs: Mutex<Execs>,
    /// Held by the call that changes the container.
    pub operation: tokio::sync::Mutex<()>,
    /// Position in the order of creation.
    pub order: u64,
    created_at: SystemTime,
    life: Mutex<Life>,
}

struct Life {
    phase: Phase,
    started_at: Option<SystemTime>,
    reason: String,
    oom: Oom,
}

/// OOM kills of the container's cgroup, announced as events and attributed to exits.
#[derive(Default)]
struct Oom {
    announced: u64,
    blamed: u64,
    risen_at: Option<Instant>,
}

impl Container {
    /// Creates a container whose init exists.
    pub fn new(order: u64, instance: String, runtime: Arc<runtime::Container>, init: Arc<Process>) -> Self {
        Self {
            id: init.container_id.clone(),
            instance,
            runtime,
            init,
            execs: Mutex::default(),
            operation: tokio::sync::Mutex::new(()),
            order,
            created_at: SystemTime::now(),
            life: Mutex::new(Life {
                phase: Phase::Created,
                started_at: None,
                reason: String::new(),
                oom: Oom::default(),
            }),
        }
    }

    /// The phase while init is alive.
    pub fn phase(&self) -> Phase {
        lock(&self.life).phase
    }

    /// Changes the phase.
    pub fn enter(&self, phase: Phase) {
        let mut life = lock(&self.life);
        life.phase = phase;
        if phase == Phase::Starting {
            life.started_at = Some(SystemTime::now());
        }
    }

    /// Records why the command could not be executed.
    pub fn set_reason(&self, reason: &str) {
        reason.clone_into(&mut lock(&self.life).reason);
    }

    /// The state that clients see.
    pub fn state(&self) -> pb::ContainerState {
        if self.init.ended().is_some() {
            return pb::ContainerState::Stopped;
        }
        match self.phase() {
            Phase::Created => pb::ContainerState::Created,
            Phase::Starting | Phase::Running => pb::ContainerState::Running,
            Phase::Paused => pb::ContainerState::Paused,
        }
    }

    /// Refuses a call unless the container is in the state that allows it.
    pub fn require(&self, action: &'static str, allowed: pb::ContainerState) -> Result<(), ContainerError> {
        let actual = self.state();
        if actual == allowed {
            return Ok(());
        }
        Err(ContainerError::WrongState {
            action,
            id: self.id.clone(),
            actual: state_name(actual),
            allowed: state_name(allowed),
        })
    }

    /// Returns a process by id. Init has the container's id.
    pub fn process(&self, exec: &str) -> Result<Arc<Process>, ContainerError> {
        if exec == self.id {
            return Ok(self.init.clone());
        }
        let missing = || ContainerError::ProcessNotFound { container: self.id.clone(), exec: exec.to_owned() };
        lock(&self.execs).get(exec).ok_or_else(missing)
    }

    /// Init and all remembered execs.
    pub fn processes(&self) -> Vec<Arc<Process>> {
        let mut all = vec![self.init.clone()];
        all.extend(lock(&self.execs).all());
        all
    }

    /// The container as clients see it, without its execs if `briefly` is set.
    pub fn describe(&self, briefly: bool) -> pb::Container {
        let processes = if briefly { vec![self.init.clone()] } else { self.processes() };
        let life = lock(&self.life);
        let (started_at, announced) = (life.started_at, life.oom.announced);
        drop(life);
        pb::Container {
            container_id: self.id.clone(),
            state: self.state() as i32,
            pid: self.init.pid().max(0) as u32,
            exit_status: self.init.ended(),
            created_at: Some(self.created_at.into()),
            started_at: started_at.map(Into::into),
            processes: processes.iter().map(|process| process.info()).collect(),
            oom_kill_count: announced,
            instance: self.instance.clone(),
        }
    }

    /// Why init could not execute its command, or "" if it could.
    pub fn reason(&self) -> String {
        lock(&self.life).reason.clone()
    }

    /// The kernel's count of OOM kills, if it has risen since the last announcement.
    pub fn risen_oom_count(&self) -> Option<u64> {
        let count = self.runtime.oom_kill_count();
        let mut life = lock(&self.life);
        if count <= life.oom.announced {
            return None;
        }
        life.oom.announced = count;
        life.oom.risen_at = Some(Instant::now());
        Some(count)
    }

    /// Whether a SIGKILL that the agent did not send is attributed to the OOM killer: there was a recent OOM kill that is not
    /// attributed to another exit.
    pub fn blame_oom(&self) -> bool {
        let mut life = lock(&self.life);
        let lately = life.oom.risen_at.is_some_and(|at| at.elapsed() < OOM_BLAME);
        let blame = lately && life.oom.blamed < life.oom.announced;
        life.oom.blamed += u64::from(blame);
        blame
    }
}

fn state_name(state: pb::ContainerState) -> &'static str {
    match state {
        pb::ContainerState::Unspecified => "in no state",
        pb::ContainerState::Created => "created",
        pb::ContainerState::Running => "running",
        pb::ContainerState::Paused => "paused",
        pb::ContainerState::Stopped => "stopped",
    }
}
