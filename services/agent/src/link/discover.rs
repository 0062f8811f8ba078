//! Finds the virtio port by its name, and waits for it without polling.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::uevent::Uevents;

/// Name of the port that leads to the node daemon.
const PORT_NAME: &str = "paddock.agent.0";

const CLASS: &str = "/sys/class/virtio-ports";

/// Opens the port, as soon as the kernel has it.
pub async fn open_port(uevents: &Uevents) -> io::Result<OwnedFd> {
    let mut news = uevents.subscribe();
    loop {
        match find(Path::new(CLASS), Path::new("/dev")) {
            Ok(Some(file)) => return Ok(file.into()),
            Ok(None) => {}
            Err(error) => crate::log::warn("link", &format!("cannot open {PORT_NAME}: {error}")),
        }
        // A port gets its name after it was added; the kernel says so with an event of its own.
        if news.changed().await.is_err() {
            return Err(io::Error::other("the kernel's device events have ended"));
        }
    }
}

fn find(class: &Path, dev: &Path) -> io::Result<Option<File>> {
    let Ok(entries) = std::fs::read_dir(class) else {
        return Ok(None);
    };
    for entry in entries.flatten() {
        let name = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        if name.trim_end() == PORT_NAME {
            let mut options = OpenOptions::new();
            let options = options.read(true).write(true);
            let file = options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(dev.join(entry.file_name()))?;
            return Ok(Some(file));
        }
    }
    Ok(None)
}
