//! CreateContainer.

use std::sync::Arc;

use super::{blocking, check_id, detached, network, options};
use crate::agent::Agent;
use crate::container::Container;
use crate::container::error::ContainerError;
use crate::pb;
use crate::pb::mount::Source;
use crate::process::Process;
use crate::process::ends::Ends;
use crate::runtime::{self, Names};

/// Longest name of an instance, in bytes.
const MAX_INSTANCE: usize = 64;

/// Creates a container whose init waits before it executes its command.
pub async fn create(agent: Arc<Agent>, request: pb::CreateContainerRequest) -> Result<Arc<Container>, ContainerError> {
    agent.sandbox()?;
    check_id("container_id", &request.container_id)?;
    let id = request.container_id.clone();
    let order = agent.containers.reserve(&id)?;
    detached("create a container", async move {
        let result = make(agent.clone(), order, request).await;
        match &result {
            Ok((container, names)) => {
                agent.containers.insert(container.clone());
                network::follow_late(&agent, container, names).await;
            }
            Err(_) => agent.containers.forget(&id),
        }
        result.map(|(container, _)| container)
    })
    .await
}

async fn make(
    agent: Arc<Agent>,
    order: u64,
    request: pb::CreateContainerRequest,
) -> Result<(Arc<Container>, Names), ContainerError> {
    let id = request.container_id.clone();
    let missing = || ContainerError::Invalid("process is missing".to_owned());
    let spec = request.process.as_ref().ok_or_else(missing)?;
    let options = options(spec)?;
    let size = spec.tty_size;
    let instance = request.instance.clone();
    if instance.len() > MAX_INSTANCE {
        return Err(ContainerError::Invalid(format!("instance is longer than {MAX_INSTANCE} bytes")));
    }
    let broken = ContainerError::of_process(&id, &id);
    agent.machine.modules_loaded().await;
    if needs_ext4(&request) {
        let machine = agent.clone();
        blocking("load ext4 for", &id, move || {
            machine.machine.load_ext4();
            Ok(())
        })
        .await?;
    }
    if request.mounts.iter().any(|mount| matches!(mount.source, Some(Source::Virtiofs(_)))) {
        let machine = agent.clone();
        blocking("load virtiofs for", &id, move || {
            machine.machine.load_virtiofs();
            Ok(())
        })
        .await?;
    }
    let context = agent.sandbox()?;
    let starting = agent.reaper.starting();
    let pipes = if options.terminal { None } else { Some(Ends::pipes(options.stdin).map_err(&broken)?) };
    let (ends, child) = pipes.unzip();
    let layout = agent.machine.layout.clone();
    let names = context.names.clone();
    let make = move || runtime::create(&layout, &context, &request, child);
    let (created, master) = blocking("create", &id, make).await?;
    let mut ends = match (ends, master) {
        (Some(ends), _) => ends,
        (None, Some(master)) => Ends::terminal(master, size.as_ref()).map_err(broken)?,
        (None, None) => return Err(ContainerError::Failed("open a terminal")),
    };
    let process = Process::new(&id, &id, options, &agent.budget, ends.terminal.take());
    let pid = created.init_pid();
    let container = Arc::new(Container::new(order, instance, Arc::new(created), process.clone()));
    agent.oom.add(&container);
    ends.start(&process);
    agent.watch(&starting, &container, &process, pid);
    Ok((container, names))
}

fn needs_ext4(request: &pb::CreateContainerRequest) -> bool {
    let writable = request.rootfs.as_ref().is_some_and(|rootfs| rootfs.upper.is_some());
    let mounted = |mount: &pb::Mount| matches!(&mount.source, Some(Source::Disk(disk)) if disk.fstype == "ext4");
    writable || request.mounts.iter().any(mounted)
}
