//! The agent's state, and its background work: it records exits and OOM kills, and reclaims output memory.

use std::net::IpAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::container::error::ContainerError;
use crate::container::oom::OomWatch;
use crate::container::registry::Registry;
use crate::container::{Container, Phase};
use crate::events::Events;
use crate::files::Files;
use crate::machine::Machine;
use crate::network::Network;
use crate::pb;
use crate::pb::watch_events_response::Event;
use crate::process::Process;
use crate::process::budget::Budget;
use crate::process::reaper::{Reaper, Starting};
use crate::runtime::{Names, SandboxContext};
use crate::sync::lock;

/// The state that all services share.
pub struct Agent {
    pub machine: Machine,
    pub network: Network,
    pub containers: Registry,
    pub events: Events,
    pub reaper: Reaper,
    pub budget: Budget,
    pub oom: Arc<OomWatch>,
    pub files: Files,
    /// Held by the call that updates the names in all containers.
    pub following: tokio::sync::Mutex<()>,
    sandbox: Mutex<Sandbox>,
}

#[derive(Default)]
struct Sandbox {
    context: Option<Arc<SandboxContext>>,
    stopping: bool,
}

impl Agent {
    /// Creates an agent for a machine, with no sandbox configured.
    pub fn new(machine: Machine, reaper: Reaper) -> std::io::Result<Arc<Self>> {
        let agent = Arc::new(Self {
            budget: Budget::new(machine.output_budget_bytes()),
            machine,
            network: Network::default(),
            containers: Registry::default(),
            events: Events::default(),
            reaper,
            oom: OomWatch::new()?,
            files: Files::default(),
            following: tokio::sync::Mutex::default(),
            sandbox: Mutex::default(),
        });
        tokio::spawn(follow_oom(agent.clone()));
        tokio::spawn(relieve(agent.clone()));
        Ok(agent)
    }

    /// The sandbox. Fails before it is configured and while the guest shuts down.
    pub fn sandbox(&self) -> Result<Arc<SandboxContext>, ContainerError> {
        let sandbox = lock(&self.sandbox);
        if sandbox.stopping {
            return Err(ContainerError::Stopping);
        }
        sandbox.context.clone().ok_or(ContainerError::NotConfigured)
    }

    /// Whether the sandbox was configured since boot.
    pub fn configured(&self) -> bool {
        lock(&self.sandbox).context.is_some()
    }

    /// Refuses a read-only call before the sandbox is configured.
    pub fn require_configured(&self) -> Result<(), ContainerError> {
        if self.configured() { Ok(()) } else { Err(ContainerError::NotConfigured) }
    }

    /// Replaces the sandbox's identity. If `addresses` is none, the hostname keeps its addresses. Returns whether the names that
    /// containers see have changed.
    pub fn configure(&self, mut context: SandboxContext, addresses: Option<Vec<IpAddr>>) -> bool {
        let mut sandbox = lock(&self.sandbox);
        let before = sandbox.context.take().map(|before| before.names.clone());
        let kept = || before.as_ref().map(|names| names.addresses.clone());
        context.names.addresses = addresses.or_else(kept).unwrap_or_default();
        let differs = before.is_some_and(|before| before != context.names);
        sandbox.context = Some(Arc::new(context));
        differs
    }

    /// Changes the sandbox's names. Returns whether they differ from before.
    pub fn change_names(&self, change: impl FnOnce(&mut Names)) -> Result<bool, ContainerError> {
        let mut sandbox = lock(&self.sandbox);
        let context = sandbox.context.as_ref().ok_or(ContainerError::NotConfigured)?;
        let mut changed = SandboxContext::clone(context);
        change(&mut changed.names);
        let differs = changed.names != context.names;
        sandbox.context = Some(Arc::new(changed));
        Ok(differs)
    }

    /// Refuses new work from now on. Returns false if the agent was stopping already.
    pub fn begin_stopping(&self) -> bool {
        let mut sandbox = lock(&self.sandbox);
        !std::mem::replace(&mut sandbox.stopping, true)
    }

    /// Follows a process to its end.
    pub fn watch(self: &Arc<Self>, starting: &Starting, container: &Arc<Container>, process: &Arc<Process>, pid: i32) {
        process.started(pid);
        let (agent, container, process) = (self.clone(), container.clone(), process.clone());
        self.reaper.watch(starting, pid, move |exit| {
            process.reaped(exit);
            let is_init = process.exec_id == container.id;
            if !is_init || container.phase() != Phase::Starting {
                agent.publish_end(&container, &process);
            }
        });
    }

    /// Publishes how a reaped process ended.
    pub fn publish_end(&self, container: &Container, process: &Process) {
        let Some(exit) = process.exit() else { return };
        self.announce_oom(container);
        let killed = exit.signal == libc::SIGKILL && !process.kill_sent();
        let is_init = process.exec_id == container.id;
        self.end(
            container,
            process,
            pb::ExitStatus {
                code: exit.code,
                signal: exit.signal,
                oom_killed: killed && container.blame_oom(),
                exited_at: Some(exit.at.into()),
                reason: if is_init { container.reason() } else { String::new() },
            },
        );
    }

    /// Records an end, and reports it as an event.
    pub fn end(&self, container: &Container, process: &Process, status: pb::ExitStatus) {
        if process.ended().is_some() {
            return;
        }
        process.end(status.clone());
        lock(&container.execs).ended(&process.exec_id);
        self.events.push(Event::ProcessExited(pb::ProcessExited {
            container_id: container.id.clone(),
            exec_id: process.exec_id.clone(),
            status: Some(status),
            instance: container.instance.clone(),
        }));
    }

    fn announce_oom(&self, container: &Container) {
        if let Some(oom_kill_count) = container.risen_oom_count() {
            self.events.push(Event::ContainerOom(pb::ContainerOom {
                container_id: container.id.clone(),
                oom_kill_count,
                instance: container.instance.clone(),
            }));
        }
    }
}

async fn follow_oom(agent: Arc<Agent>) {
    loop {
        match agent.oom.changed().await {
            Ok(concerned) => concerned.iter().for_each(|container| agent.announce_oom(container)),
            Err(error) => {
                crate::log::warn("oom", &format!("cannot follow OOM kills: {error}"));
                return;
            }
        }
    }
}

/// When a ring is denied memory, makes other rings free acknowledged output, those of ended processes first.
async fn relieve(agent: Arc<Agent>) {
    loop {
        agent.budget.pressed().await;
        let containers = agent.containers.all();
        let processes: Vec<_> = containers.iter().flat_map(|container| container.processes()).collect();
        let (ended, live): (Vec<_>, Vec<_>) = processes.iter().partition(|process| process.ended().is_some());
        let mut gained = 0;
        for process in ended.into_iter().chain(live) {
            if agent.budget.has_slack() {
                break;
            }
            gained += process.shed();
        }
        if gained > 0 {
            processes.iter().for_each(|process| process.retry_room());
        }
        // Under lasting pressure rings ask all the time, and each pass visits all of them.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
