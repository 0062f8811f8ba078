//! The calls about files. Each notes its work first, and then opens the container's root, so that a removal of the container waits
//! for it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::{blocking, check_id};
use crate::agent::Agent;
use crate::container::error::ContainerError;
use crate::files::cancel::{Cancel, CancelOnDrop};
use crate::files::changes::Changes;
use crate::files::error::FileError;
use crate::files::incoming::Incoming;
use crate::files::outgoing::Outgoing;
use crate::files::registry::{Direction, Transfer, Work};
use crate::files::{RESUME_TIME, Root, check_copy};
use crate::pb;

type Result<T> = std::result::Result<T, ContainerError>;

/// Runs `work` on the root of a container. It ends early when the caller disconnects.
pub async fn call<T: Send + 'static>(
    agent: &Arc<Agent>,
    container: &str,
    work: impl FnOnce(BorrowedFd<'_>, &Cancel) -> std::result::Result<T, FileError> + Send + 'static,
) -> Result<T> {
    let cancel = CancelOnDrop(Cancel::default());
    let entry = agent.files.enter(Work::Call, container, &cancel.0)?;
    let root = open_root(agent, container).await?;
    let inner = cancel.0.clone();
    Ok(agent.files.call(entry, root, move |root| work(root, &inner)).await?)
}

/// Begins a copy from a container, or continues one.
pub async fn copy_from(agent: &Arc<Agent>, request: pb::CopyFromRequest) -> Result<(Arc<Outgoing>, Stream)> {
    check_copy(&request.path, request.format())?;
    check_transfer(&request.transfer_id)?;
    let (id, container, path) = (request.transfer_id.clone(), request.container_id.clone(), request.path.clone());
    if request.offset > 0 && !id.is_empty() {
        let found = agent.files.registry.find(&id, &container, &path)?;
        let Direction::From(bytes) = &found.bytes else { return Err(FileError::TransferNotFound(id).into()) };
        let (bytes, number) = (bytes.clone(), bytes.join(request.offset)?);
        return Ok((bytes, Stream { agent: agent.clone(), transfer: found, id, number }));
    }
    if request.offset > 0 && request.format() == pb::CopyFormat::Tar {
        let text = "an archive without a transfer id is read from its beginning";
        return Err(FileError::Invalid(text.to_owned()).into());
    }
    let cancel = Cancel::default();
    let entry = agent.files.enter(Work::Transfer, &container, &cancel)?;
    let root = open_root(agent, &container).await?;
    let bytes = Outgoing::new(request.offset, !id.is_empty(), cancel);
    let number = bytes.join(request.offset)?;
    agent.files.copy_from(entry, root, request, bytes.clone())?;
    let transfer = agent.files.registry.remember(&id, &container, &path, Direction::From(bytes.clone()));
    Ok((bytes, Stream { agent: agent.clone(), transfer, id, number }))
}

/// Begins a copy to a container, or continues one. Returns the offset of the first byte to send, too.
pub async fn copy_to(agent: &Arc<Agent>, start: pb::CopyToStart) -> Result<(Arc<Incoming>, Stream, u64)> {
    check_copy(&start.path, start.format())?;
    check_transfer(&start.transfer_id)?;
    if start.mode > 0o7777 {
        return Err(FileError::Invalid("mode must be 0 to 07777".to_owned()).into());
    }
    let (id, container, path) = (start.transfer_id.clone(), start.container_id.clone(), start.path.clone());
    if start.resume {
        let found = agent.files.registry.find(&id, &container, &path)?;
        let Direction::To(bytes) = &found.bytes else { return Err(FileError::TransferNotFound(id).into()) };
        let (bytes, (number, offset)) = (bytes.clone(), bytes.join());
        return Ok((bytes, Stream { agent: agent.clone(), transfer: found, id, number }, offset));
    }
    let cancel = Cancel::default();
    let entry = agent.files.enter(Work::Transfer, &container, &cancel)?;
    let root = open_root(agent, &container).await?;
    let bytes = Incoming::new(cancel);
    let (number, offset) = bytes.join();
    agent.files.copy_to(entry, root, start, bytes.clone())?;
    let transfer = agent.files.registry.remember(&id, &container, &path, Direction::To(bytes.clone()));
    Ok((bytes, Stream { agent: agent.clone(), transfer, id, number }, offset))
}

/// Begins a watch. It ends when the result is dropped.
pub async fn watch(agent: &Arc<Agent>, request: pb::WatchFilesRequest) -> Result<(Arc<Changes>, CancelOnDrop)> {
    let cancel = CancelOnDrop(Cancel::default());
    let container = request.container_id.clone();
    let entry = agent.files.enter(Work::Watch, &container, &cancel.0)?;
    let root = open_root(agent, &container).await?;
    let changes = Changes::new(cancel.0.clone());
    agent.files.watch(entry, root, request, changes.clone())?;
    changes.started().await?;
    Ok((changes, cancel))
}

/// A stream of a transfer. When it is dropped, another stream may continue for a while.
pub struct Stream {
    agent: Arc<Agent>,
    transfer: Transfer,
    id: String,
    /// Number of the stream.
    pub number: u64,
}

impl Drop for Stream {
    fn drop(&mut self) {
        if self.id.is_empty() {
            self.transfer.bytes.cancel().cancel();
            return;
        }
        if !self.transfer.bytes.is_last(self.number) {
            return;
        }
        let (agent, id) = (self.agent.clone(), self.id.clone());
        let (transfer, stream) = (self.transfer.number, self.number);
        tokio::spawn(async move {
            tokio::time::sleep(RESUME_TIME).await;
            agent.files.registry.give_up(&id, transfer, stream);
        });
    }
}

/// Opens the root of a container.
async fn open_root(agent: &Arc<Agent>, id: &str) -> Result<Root> {
    let runtime = agent.containers.get(id)?.runtime.clone();
    blocking("open the files of", id, move || runtime.open_root()).await
}

fn check_transfer(id: &str) -> Result<()> {
    if id.is_empty() { Ok(()) } else { check_id("transfer_id", id) }
}
