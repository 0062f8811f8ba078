//! WatchFiles: changes in a directory, by inotify.
//!
//! A thread reads the events and queues changes for the client's stream ([`Changes`]). A directory is watched by its descriptor,
//! and its path is what the events that led to it said.

use std::collections::HashMap;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags};
use rustix::fs::{AtFlags, Dir, FileType};
use rustix::io::Errno;

use super::changes::Changes;
use super::error::{Attempt, FileError, Result, shown};
use super::path;
use crate::pb;
use crate::pb::FileChangeKind;

/// Most directories of a watch, and bytes of their paths.
const DIRECTORIES: usize = 4096;
const PATHS_BYTES: usize = 1024 * 1024;
const EVENTS_BYTES: usize = 16 * 1024;

/// Watches a directory, in a thread, until it is cancelled.
pub fn watch(root: BorrowedFd<'_>, request: &pb::WatchFilesRequest, changes: &Arc<Changes>) -> Result<()> {
    path::check(&request.path)?;
    let what = || format!("watch {}", shown(request.path.as_bytes()));
    let target = path::open(root, &request.path, path::LIST).attempt(what)?;
    if path::is_of_kernel(target.as_fd()).attempt(what)? {
        return Err(FileError::Refused(format!("{} is the kernel's", shown(request.path.as_bytes()))));
    }
    let inotify = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK).attempt(what)?;
    let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).attempt(what)?;
    let waker = path::duplicate(&wake)?;
    changes.cancel.when_cancelled(move || {
        let _ = rustix::io::write(&waker, &1_u64.to_ne_bytes());
    });
    let mut watch = Watch {
        target,
        inotify,
        recursive: request.recursive,
        changes: changes.clone(),
        paths: HashMap::new(),
        bytes: 0,
    };
    watch.add(Vec::new(), false)?;
    changes.start();
    loop {
        changes.cancel.check()?;
        let mut ready = [PollFd::new(&watch.inotify, PollFlags::IN), PollFd::new(&wake, PollFlags::IN)];
        match poll(&mut ready, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno).attempt(what),
        }
        watch.read_events()?;
    }
}

struct Watch {
    target: OwnedFd,
    inotify: OwnedFd,
    recursive: bool,
    changes: Arc<Changes>,
    /// Paths of the watched directories, below the target.
    paths: HashMap<i32, Vec<u8>>,
    bytes: usize,
}

/// An event, without the buffer that it was read into.
struct Event {
    watch: i32,
    flags: ReadFlags,
    name: Vec<u8>,
}

impl Watch {
    fn read_events(&mut self) -> Result<()> {
        let mut buffer = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut events = Vec::new();
        let mut reader = inotify::Reader::new(&self.inotify, &mut buffer);
        loop {
            match reader.next() {
                Ok(event) => {
                    let name = event.file_name().map(|name| name.to_bytes().to_vec()).unwrap_or_default();
                    events.push(Event { watch: event.wd(), flags: event.events(), name });
                    if reader.is_buffer_empty() {
                        break;
                    }
                }
                Err(Errno::AGAIN) => break,
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno).attempt(|| "read changes of files"),
            }
        }
        events.iter().try_for_each(|event| self.handle(event))
    }

    fn handle(&mut self, event: &Event) -> Result<()> {
        if event.flags.contains(ReadFlags::QUEUE_OVERFLOW) {
            self.changes.miss();
            return Ok(());
        }
        if event.flags.contains(ReadFlags::IGNORED) {
            self.forget(event.watch);
            return Ok(());
        }
        let Some(directory) = self.paths.get(&event.watch) else { return Ok(()) };
        let Some(kind) = kind_of(event.flags) else { return Ok(()) };
        // Other directories' own events are also events of the directory above.
        if event.name.is_empty() && !directory.is_empty() {
            return Ok(());
        }
        let is_directory = event.flags.contains(ReadFlags::ISDIR) || event.name.is_empty();
        let path = join(directory, &event.name);
        self.changes.push(&path, kind, is_directory);
        if !self.recursive || !event.flags.contains(ReadFlags::ISDIR) || event.name.is_empty() {
            return Ok(());
        }
        match kind {
            FileChangeKind::Created => self.add(path, true),
            FileChangeKind::Removed => {
                self.remove_below(&path);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Watches a directory and, in a recursive watch, those below it. Reports what is in it already, if `announce` is set.
    fn add(&mut self, first: Vec<u8>, announce: bool) -> Result<()> {
        let mut waiting = vec![first];
        let mut waiting_bytes = 0;
        while let Some(path) = waiting.pop() {
            self.changes.cancel.check()?;
            let listing = match self.add_one(&path) {
                Ok(Some(listing)) => listing,
                // It was removed or replaced in the meantime, or is not watched: its path is too long, or it is the kernel's.
                Ok(None) | Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::ACCESS | Errno::NAMETOOLONG) => {
                    continue;
                }
                Err(errno) => return Err(errno).attempt(|| format!("watch {}", shown(&path))),
            };
            if self.paths.len() + waiting.len() > DIRECTORIES || self.bytes + waiting_bytes > PATHS_BYTES {
                return Err(FileError::TooManyDirectories(DIRECTORIES));
            }
            if self.recursive {
                self.list(listing, &path, announce, &mut waiting, &mut waiting_bytes)?;
            }
        }
        Ok(())
    }

    fn list(
        &self,
        listing: OwnedFd,
        path: &[u8],
        announce: bool,
        waiting: &mut Vec<Vec<u8>>,
        waiting_bytes: &mut usize,
    ) -> Result<()> {
        let what = || format!("list {}", shown(path));
        let mut listing = Dir::new(listing).attempt(what)?;
        while let Some(Ok(entry)) = listing.read() {
            self.changes.cancel.check()?;
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let is_directory = match entry.file_type() {
                FileType::Unknown => {
                    let fd = listing.fd().attempt(what)?;
                    let stat = rustix::fs::statat(fd, name, AtFlags::SYMLINK_NOFOLLOW);
                    stat.is_ok_and(|stat| path::kind(&stat) == FileType::Directory)
                }
                kind => kind == FileType::Directory,
            };
            let below = join(path, name);
            if announce {
                self.changes.push(&below, FileChangeKind::Created, is_directory);
            }
            if is_directory {
                *waiting_bytes += below.len();
                waiting.push(below);
            }
            if waiting.len() > DIRECTORIES || *waiting_bytes > PATHS_BYTES {
                return Err(FileError::TooManyDirectories(DIRECTORIES));
            }
        }
        Ok(())
    }

    /// Watches one directory, and opens it. None if it is the kernel's.
    fn add_one(&mut self, path: &[u8]) -> std::result::Result<Option<OwnedFd>, Errno> {
        let opened = path::open_beneath(self.target.as_fd(), path, path::LIST)?;
        if path::is_of_kernel(opened.as_fd())? {
            return Ok(None);
        }
        let flags = WatchFlags::CREATE
            | WatchFlags::CLOSE_WRITE
            | WatchFlags::ATTRIB
            | WatchFlags::DELETE
            | WatchFlags::MOVED_FROM
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::EXCL_UNLINK
            | WatchFlags::ONLYDIR;
        let watch = inotify::add_watch(&self.inotify, format!("/proc/self/fd/{}", opened.as_raw_fd()), flags)?;
        self.forget(watch);
        self.bytes += path.len();
        self.paths.insert(watch, path.to_vec());
        Ok(Some(opened))
    }

    fn forget(&mut self, watch: i32) {
        if let Some(path) = self.paths.remove(&watch) {
            self.bytes -= path.len();
        }
    }

    /// Stops to watch a directory that was moved away or removed, and those below it.
    fn remove_below(&mut self, path: &[u8]) {
        let is_below = |other: &[u8]| other.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
        let gone: Vec<i32> = self.paths.iter().filter(|(_, other)| is_below(other)).map(|(watch, _)| *watch).collect();
        for watch in gone {
            // A directory that does not exist any more is not watched already.
            let _ = inotify::remove_watch(&self.inotify, watch);
            self.forget(watch);
        }
    }
}

fn kind_of(flags: ReadFlags) -> Option<FileChangeKind> {
    let created = ReadFlags::CREATE | ReadFlags::MOVED_TO;
    let removed = ReadFlags::DELETE | ReadFlags::MOVED_FROM | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF;
    if flags.intersects(created) {
        Some(FileChangeKind::Created)
    } else if flags.intersects(removed) {
        Some(FileChangeKind::Removed)
    } else if flags.contains(ReadFlags::CLOSE_WRITE) {
        Some(FileChangeKind::Written)
    } else if flags.contains(ReadFlags::ATTRIB) {
        Some(FileChangeKind::Attributes)
    } else {
        None
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    match (directory, name) {
        (b"", name) => name.to_vec(),
        (directory, b"") => directory.to_vec(),
        (directory, name) => [directory, b"/", name].concat(),
    }
}
