//! The kernel's device events: wakes the tasks that wait for a device, and brings hot-plugged CPUs online.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{
    AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, setsockopt, socket, sockopt,
};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;

use crate::sync::watch_fd;

/// A subscription to device events. The value counts them.
pub struct Uevents {
    count: watch::Sender<u64>,
}

impl Uevents {
    /// Opens the kernel's socket and follows it in the background.
    pub fn start(owns_machine: bool) -> io::Result<Self> {
        let fd = socket(
            AddressFamily::Netlink,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::NetlinkKObjectUEvent,
        )?;
        // Module loading causes hundreds of events at once.
        let _ = setsockopt(&fd, sockopt::RcvBufForce, &(1024 * 1024));
        bind(fd.as_raw_fd(), &NetlinkAddr::new(0, 1))?;
        let socket = watch_fd(fd, tokio::io::Interest::READABLE)?;
        let (count, _) = watch::channel(0);
        let sender = count.clone();
        tokio::spawn(async move {
            if let Err(error) = follow(&socket, &sender, owns_machine).await {
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

async fn follow(socket: &AsyncFd<OwnedFd>, count: &watch::Sender<u64>, owns_machine: bool) -> io::Result<()> {
    let mut buffer = vec![0; 8192];
    loop {
        let mut guard = socket.readable().await?;
        let received = guard.try_io(|fd| {
            let flags = nix::sys::socket::MsgFlags::MSG_DONTWAIT;
            Ok(recv(fd.as_raw_fd(), &mut buffer, flags)?)
        });
        match received {
            Err(_would_block) => continue,
            // Events were lost: the tasks that wait look again.
            Ok(Err(error)) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
            Ok(Err(error)) => return Err(error),
            Ok(Ok(length)) if owns_machine => bring_online(&buffer[..length]),
            Ok(Ok(_)) => {}
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
    let (Some("add"), Some(subsystem), Some(path)) = (field("ACTION="), field("SUBSYSTEM="), field("DEVPATH=")) else {
        return;
    };
    let device = Path::new("/sys").join(path.trim_start_matches('/'));
    // Memory comes online by itself (machine/boot.rs).
    let ("cpu", file, value) = (subsystem, "online", "1") else {
        return;
    };
    let current = std::fs::read_to_string(device.join(file)).unwrap_or_default();
    if current.trim_end() != value
        && let Err(error) = std::fs::write(device.join(file), value)
    {
        crate::log::warn("uevent", &format!("cannot bring {} online: {error}", device.display()));
    }
}
