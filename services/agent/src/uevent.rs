//! The kernel's device events: wakes tasks that wait for a device, and brings hot-plugged CPUs online.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::io::Errno;
use rustix::net::netlink::{self, SocketAddrNetlink};
use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, recv};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::sync::watch_fd;

/// A subscription to device events. The value is their count.
pub struct Uevents {
    count: watch::Sender<u64>,
}

impl Uevents {
    /// Opens the kernel's socket and reads it in the background.
    pub fn start() -> io::Result<Self> {
        let fd = listen()?;
        // Module loading causes hundreds of events at once.
        let _ = rustix::net::sockopt::set_socket_recv_buffer_size_force(&fd, 1024 * 1024);
        let socket = watch_fd(fd, tokio::io::Interest::READABLE)?;
        let (count, _) = watch::channel(0);
        let sender = count.clone();
        tokio::spawn(async move {
            if let Err(error) = follow(&socket, &sender).await {
                crate::log::warn("uevent", &format!("cannot follow device events: {error}"));
            }
        });
        Ok(Self { count })
    }

    /// A receiver that sees every later event.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }
}

/// A non-blocking socket that receives the kernel's events.
pub fn listen() -> Result<OwnedFd, Errno> {
    const KERNEL_GROUP: u32 = 1;
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let protocol = Some(netlink::KOBJECT_UEVENT);
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, protocol)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, KERNEL_GROUP))?;
    Ok(socket)
}

async fn follow(socket: &AsyncFd<OwnedFd>, count: &watch::Sender<u64>) -> io::Result<()> {
    let mut buffer = vec![0; 8192];
    loop {
        let mut guard = socket.readable().await?;
        let received = guard.try_io(|fd| Ok(recv(fd, &mut buffer[..], RecvFlags::DONTWAIT)?.0));
        match received {
            Err(_would_block) => continue,
            // Events were lost: the waiting tasks check again.
            Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(length)) => bring_online(&buffer[..length]),
        }
        count.send_modify(|count| *count += 1);
    }
}

fn bring_online(event: &[u8]) {
    let field = |name: &str| {
        let mut fields = event.split(|byte| *byte == 0);
        let found = fields.find_map(|field| field.strip_prefix(name.as_bytes()));
        found.and_then(|value| std::str::from_utf8(value).ok())
    };
    // Memory comes online by itself (machine/boot.rs).
    let (Some("add"), Some("cpu"), Some(path)) = (field("ACTION="), field("SUBSYSTEM="), field("DEVPATH=")) else {
        return;
    };
    let online = Path::new("/sys").join(path.trim_start_matches('/')).join("online");
    if std::fs::read_to_string(&online).unwrap_or_default().trim_end() != "1"
        && let Err(error) = std::fs::write(&online, "1")
    {
        crate::log::warn("uevent", &format!("cannot write 1 to {}: {error}", online.display()));
    }
}
