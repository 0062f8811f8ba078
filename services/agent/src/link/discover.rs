//! Finds the virtio port by its name. Waits for kernel events and does not poll.

use std::fs::{DirEntry, File, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::uevent::Uevents;

/// Name of the port to the node daemon.
const PORT_NAME: &str = "paddock.agent.0";

const CLASS: &str = "/sys/class/virtio-ports";

/// Opens the port as soon as the kernel announces it.
pub async fn open_port(uevents: &Uevents) -> io::Result<OwnedFd> {
    let mut news = uevents.subscribe();
    loop {
        match find(Path::new(CLASS), Path::new("/dev")) {
            Ok(Some(file)) => return Ok(file.into()),
            Ok(None) => {}
            Err(error) => crate::log::warn("link", &format!("cannot open {PORT_NAME}: {error}")),
        }
        // The port gets its name after it was added; the kernel then sends another event.
        if news.changed().await.is_err() {
            return Err(io::Error::other("the kernel's device events have ended"));
        }
    }
}

/// Unbinds the port's driver from its device and binds it again, which resets the device. The port reappears under another name,
/// and the old descriptor is invalid.
pub fn rebind() -> io::Result<()> {
    let gone = || io::Error::from(io::ErrorKind::NotFound);
    let port = entry(Path::new(CLASS)).ok_or_else(gone)?;
    let device = std::fs::canonicalize(port.path().join("device"))?;
    let driver = std::fs::canonicalize(device.join("driver"))?;
    let name = device.file_name().ok_or_else(gone)?.as_encoded_bytes();
    std::fs::write(driver.join("unbind"), name)?;
    std::fs::write(driver.join("bind"), name)
}

fn find(class: &Path, dev: &Path) -> io::Result<Option<File>> {
    let Some(entry) = entry(class) else {
        return Ok(None);
    };
    let mut options = OpenOptions::new();
    let options = options.read(true).write(true);
    options.custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(dev.join(entry.file_name())).map(Some)
}

fn entry(class: &Path) -> Option<DirEntry> {
    let named = |entry: &DirEntry| {
        let name = std::fs::read_to_string(entry.path().join("name")).unwrap_or_default();
        name.trim_end() == PORT_NAME
    };
    std::fs::read_dir(class).ok()?.flatten().find(named)
}
