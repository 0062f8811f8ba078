//! Connects to a port of the guest, from inside it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use tokio::net::TcpStream;

use super::error::ForwardError;

/// How long a connection may take.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// The kernel keeps twice as much for a server that does not read. Without a limit it keeps megabytes.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

/// A connection to a port, on 127.0.0.1 or, if nothing listens there, on ::1.
pub async fn dial(port: u32) -> Result<(IpAddr, TcpStream), ForwardError> {
    let port = u16::try_from(port).ok().filter(|port| *port > 0);
    let port = port.ok_or(ForwardError::Invalid("a port is 1 to 65535"))?;
    let dialled = tokio::time::timeout(DIAL_TIMEOUT, dial_either(port)).await;
    dialled.unwrap_or(Err(ForwardError::TimedOut { port, seconds: DIAL_TIMEOUT.as_secs() }))
}

async fn dial_either(port: u16) -> Result<(IpAddr, TcpStream), ForwardError> {
    let four = IpAddr::from(Ipv4Addr::LOCALHOST);
    match connect(four, port).await {
        Ok(socket) => return Ok((four, socket)),
        Err(source) if source.kind() == io::ErrorKind::ConnectionRefused => {}
        Err(source) => return Err(ForwardError::Failed { port, source }),
    }
    let six = IpAddr::from(Ipv6Addr::LOCALHOST);
    match connect(six, port).await {
        Ok(socket) => Ok((six, socket)),
        Err(source) if is_absent(&source) => Err(ForwardError::Refused(port)),
        Err(source) => Err(ForwardError::Failed { port, source }),
    }
}

async fn connect(address: IpAddr, port: u16) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((address, port)).await?;
    // The kernel may choose the port itself as the source. Then the socket is connected to itself, and nothing listens.
    if socket.local_addr()? == socket.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    socket.set_nodelay(true)?;
    rustix::net::sockopt::set_socket_send_buffer_size(&socket, SEND_BUFFER_BYTES)?;
    Ok(socket)
}

/// Whether nothing listens there: the guest may have no IPv6 at all.
fn is_absent(error: &io::Error) -> bool {
    let codes = [libc::ECONNREFUSED, libc::EADDRNOTAVAIL, libc::ENETUNREACH, libc::EAFNOSUPPORT];
    error.kind() == io::ErrorKind::ConnectionRefused || error.raw_os_error().is_some_and(|code| codes.contains(&code))
}
