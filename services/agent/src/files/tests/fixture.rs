//! A directory in place of a container's root. It is in memory, so that tests do not wait for the host's disk.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use bytes::Bytes;
use rustix::fs::{Mode, OFlags};
use sha2::{Digest, Sha256};

use crate::files::cancel::Cancel;
use crate::files::error::Result;
use crate::files::incoming::{CHUNK_BYTES, Incoming, WINDOW_BYTES};
use crate::files::outgoing::Outgoing;
use crate::files::{read_file, worker, write_file};
use crate::pb;
use crate::pb::copy_from_response::Message;

/// The directory. It is removed at the end.
pub struct Directory {
    pub path: PathBuf,
    pub root: Arc<OwnedFd>,
}

impl Directory {
    pub fn new() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = Path::new("/dev/shm").join(format!("paddock-files-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        let root = Arc::new(open(&path));
        Self { path, root }
    }

    /// Creates files with a shell, in the directory.
    pub fn sh(&self, script: &str) -> String {
        let shell = std::process::Command::new("sh").args(["-ec", script]).current_dir(&self.path).output().unwrap();
        assert!(shell.status.success(), "{script}: {}", String::from_utf8_lossy(&shell.stderr));
        String::from_utf8_lossy(&shell.stdout).into_owned()
    }

    /// Reads a tree as an archive.
    pub fn archive(&self, path: &str) -> (Vec<u8>, pb::CopyEnd) {
        self.read(path, pb::CopyFormat::Tar).unwrap()
    }

    pub fn read(&self, path: &str, format: pb::CopyFormat) -> Result<(Vec<u8>, pb::CopyEnd)> {
        let outgoing = Outgoing::new(0, false, Cancel::default());
        let stream = outgoing.join(0).unwrap();
        start_reading(&self.root, path, format, &outgoing);
        let (bytes, end) = drain(&outgoing, stream, 0, u64::MAX)?;
        let end = end.unwrap();
        assert_eq!((end.total_bytes, end.sha256.to_vec()), (bytes.len() as u64, Sha256::digest(&bytes).to_vec()));
        Ok((bytes, end))
    }

    /// Extracts an archive below the directory.
    pub fn extract(&self, path: &str, archive: &[u8]) -> Result<pb::CopyEnd> {
        self.write(
            pb::CopyToStart { path: path.into(), format: pb::CopyFormat::Tar.into(), ..Default::default() },
            archive,
        )
    }

    pub fn write(&self, start: pb::CopyToStart, bytes: &[u8]) -> Result<pb::CopyEnd> {
        write_to(&self.root, start, bytes)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

pub fn open(path: &Path) -> OwnedFd {
    rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()).unwrap()
}

/// Starts the thread that reads.
pub fn start_reading(root: &Arc<OwnedFd>, path: &str, format: pb::CopyFormat, outgoing: &Arc<Outgoing>) {
    let request = pb::CopyFromRequest { path: path.into(), format: format.into(), ..Default::default() };
    let (root, bytes, outgoing) = (root.clone(), outgoing.clone(), outgoing.clone());
    worker::spawn(
        move || read_file::copy_from(root.as_fd(), &request, &bytes),
        move |outcome| outgoing.finish(outcome),
    )
    .unwrap();
}

/// Takes bytes until there are `upto`, or until the end.
pub fn drain(outgoing: &Outgoing, stream: u64, from: u64, upto: u64) -> Result<(Vec<u8>, Option<pb::CopyEnd>)> {
    let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
    executor.block_on(async {
        let mut bytes = Vec::new();
        while from + (bytes.len() as u64) < upto {
            match outgoing.next(stream).await? {
                Message::Chunk(chunk) => {
                    assert_eq!(chunk.offset, from + bytes.len() as u64);
                    assert!(chunk.data.len() <= 256 * 1024);
                    bytes.extend_from_slice(&chunk.data);
                }
                Message::End(end) => return Ok((bytes, Some(end))),
                Message::Started(_) => panic!("started comes from elsewhere"),
            }
        }
        Ok((bytes, None))
    })
}

pub fn write_to(root: &Arc<OwnedFd>, start: pb::CopyToStart, bytes: &[u8]) -> Result<pb::CopyEnd> {
    let incoming = Incoming::new(Cancel::default());
    let (stream, offset) = incoming.join();
    assert_eq!(offset, 0);
    start_writing(root, start, &incoming);
    let executor = tokio::runtime::Builder::new_current_thread().build().unwrap();
    executor.block_on(send(&incoming, stream, bytes, 0, true))
}

/// Starts the thread that writes.
pub fn start_writing(root: &Arc<OwnedFd>, start: pb::CopyToStart, incoming: &Arc<Incoming>) {
    let (root, bytes, incoming) = (root.clone(), incoming.clone(), incoming.clone());
    worker::spawn(move || write_file::copy_to(root.as_fd(), &start, &bytes), move |outcome| incoming.finish(outcome))
        .unwrap();
}

/// Sends bytes as a client does, with its window, and waits for the end if `eof` is set.
pub async fn send(incoming: &Incoming, stream: u64, bytes: &[u8], from: u64, eof: bool) -> Result<pb::CopyEnd> {
    use crate::pb::copy_to_response::Message;
    let (mut sent, mut told) = (from, from);
    while sent < bytes.len() as u64 {
        while sent + CHUNK_BYTES as u64 > told + WINDOW_BYTES {
            match incoming.next(stream, &mut told).await? {
                Message::Ack(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let end = bytes.len().min(sent as usize + CHUNK_BYTES);
        let data = Bytes::copy_from_slice(&bytes[sent as usize..end]);
        incoming.put(stream, pb::CopyChunk { offset: sent, data })?;
        sent = end as u64;
    }
    if !eof {
        return Ok(pb::CopyEnd::default());
    }
    let sha256 = Sha256::digest(bytes).to_vec().into();
    incoming.put_eof(stream, pb::CopyToEof { total_bytes: sent, sha256 })?;
    loop {
        if let Message::End(end) = incoming.next(stream, &mut told).await? {
            return Ok(end);
        }
    }
}

/// A root that is a file system of its own, of a given size.
pub fn small_file_system(size: &str) -> Arc<OwnedFd> {
    use rustix::mount::{
        FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_string, fsmount, fsopen,
    };
    let context = fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC).unwrap();
    fsconfig_set_string(&context, "size", size).unwrap();
    fsconfig_create(&context).unwrap();
    Arc::new(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty()).unwrap())
}
