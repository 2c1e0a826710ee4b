//! The sockets of a node: all bound before anything is opened, and who has a port that we cannot have.
//!
//! Not what is said over them. Invariant: a port is either ours or named in the error with its role.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};

use super::StartError;
use crate::transport::{Limits, Server};

/// Connections the kernel keeps until they are accepted.
const BACKLOG: u32 = 16;
/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// Files that a node opens besides its connections: segments, databases, their files for a moment.
pub const OTHER_FILES: u64 = 1024;

/// Lets this process open as many files as the system allows it, and says so if that is too few.
pub fn raise_file_limit(connections_max: usize) {
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(_, hard)| {
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        Ok(hard)
    });
    let wanted = u64::try_from(connections_max).unwrap_or(u64::MAX).saturating_add(OTHER_FILES);
    match raised {
        Ok(hard) if hard >= wanted => {}
        Ok(hard) => tracing::warn!(
            "this process may open {hard} files, but {connections_max} connections need {wanted}: write LimitNOFILE={wanted} \
             in the unit, or limits.connections_max = {} in the settings",
            hard.saturating_sub(OTHER_FILES)
        ),
        Err(error) => tracing::warn!(%error, "the limit of open files cannot be raised"),
    }
}

/// Binds a port for commands on the current runtime; `role` is what the error calls it.
///
/// # Errors
/// Somebody has it, who is named if `/proc` tells; or the address is not this host's.
pub fn bind(role: &str, address: SocketAddr, limits: &Arc<Limits>) -> Result<Server, StartError> {
    let bound = Server::bind(address, Arc::clone(limits));
    bound.map_err(|error| describe(role, address, &error))
}

/// Keeps a port: nobody else gets it, and whoever connects is refused, and can turn to another broker at once, until
/// [`listen`] or [`listen_for_commands`].
///
/// # Errors
/// As [`bind`].
pub fn reserve(role: &str, address: SocketAddr) -> Result<TcpSocket, StartError> {
    let reserving = || {
        let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // Or another socket of that kind could be bound beside it as long as none listens.
        socket.set_reuseaddr(false)?;
        Ok(socket)
    };
    reserving().map_err(|error| describe(role, address, &error))
}

/// Lets connections in at a port that was kept.
///
/// # Errors
/// What the system says.
pub fn listen(socket: TcpSocket) -> io::Result<TcpListener> {
    // Connections of a node before this one may linger there.
    socket.set_reuseaddr(true)?;
    socket.listen(BACKLOG)
}

/// The same at a port for commands.
///
/// # Errors
/// What the system says.
pub fn listen_for_commands(socket: TcpSocket, limits: &Arc<Limits>) -> io::Result<Server> {
    socket.set_reuseaddr(true)?;
    Server::listen(socket, Arc::clone(limits))
}

fn describe(role: &str, address: SocketAddr, error: &io::Error) -> StartError {
    let why = match error.kind() {
        io::ErrorKind::AddrInUse => {
            let holder = holder(address).unwrap_or_else(|| "another process".to_owned());
            format!("{holder} has it: stop that, or choose another port or --listen address")
        }
        io::ErrorKind::AddrNotAvailable => "this host does not have that address (yet)".to_owned(),
        _ => error.to_string(),
    };
    StartError(format!("cannot bind {address}, {role}: {why}"))
}

/// The process that listens on `address` or on its port of all addresses, as an error calls it.
#[must_use]
pub fn holder(address: SocketAddr) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| listening_inode(line, address))
    })?;
    let socket = format!("socket:[{inode}]");
    let processes = fs::read_dir("/proc").ok()?;
    let has_socket = |folder: &fs::DirEntry| {
        let Ok(descriptors) = fs::read_dir(folder.path().join("fd")) else { return false };
        let mut targets =
            descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
        targets.any(|target| target.as_os_str() == socket.as_str())
    };
    let mut holders = processes.flatten().filter(has_socket);
    // `self` is such a folder too, but no number.
    let named = holders.find_map(|folder| process(&folder.file_name().to_string_lossy()));
    named.or_else(|| Some("a process of another user".to_owned()))
}

/// The inode of the socket that a line of `/proc/net/tcp` describes, if it listens where we would.
fn listening_inode(line: &str, address: SocketAddr) -> Option<u64> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, local, _, state, ..] = words.as_slice() else { return None };
    let (host, port) = local.rsplit_once(':')?;
    let is_port = u16::from_str_radix(port, 16).ok()? == address.port();
    let is_host = host.chars().all(|c| c == '0')
        || address.ip().is_unspecified()
        || host == hex(address.ip());
    let inode = words.get(9)?.parse().ok()?;
    (*state == LISTENING && is_port && is_host).then_some(inode)
}

/// An address as `/proc/net/tcp` writes it: 32-bit words in the machine's own byte order.
fn hex(address: IpAddr) -> String {
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let word = |bytes: &[u8]| {
        let bytes = bytes.try_into().expect("chunks of four");
        format!("{:08X}", u32::from_ne_bytes(bytes))
    };
    octets.chunks_exact(4).map(word).collect()
}

/// `process 12 (name)`, if there is one of that number.
pub fn process(pid: &str) -> Option<String> {
    let pid: u32 = pid.parse().ok()?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("process {pid} ({})", name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_port_that_is_taken_is_told_with_its_holder() {
        let limits = Arc::default();
        let first = bind("name server", "127.0.0.1:0".parse().unwrap(), &limits).unwrap();
        let refused =
            bind("port of broker-a", first.local_addr(), &limits).unwrap_err().to_string();
        let expected = format!(
            "cannot bind {}, port of broker-a: process {} (",
            first.local_addr(),
            std::process::id()
        );
        assert!(refused.starts_with(&expected), "{refused}");
    }

    #[tokio::test]
    async fn an_address_of_another_host_is_told() {
        let address = "192.0.2.1:9876".parse().unwrap();
        let refused = bind("name server", address, &Arc::default()).unwrap_err().to_string();
        assert!(refused.ends_with("this host does not have that address (yet)"), "{refused}");
    }

    #[tokio::test]
    async fn a_kept_port_refuses_whoever_connects_until_it_listens() {
        let kept = reserve("HA port", "127.0.0.1:0".parse().unwrap()).unwrap();
        let address = kept.local_addr().unwrap();
        let connected = tokio::net::TcpStream::connect(address).await;
        assert_eq!(connected.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        assert!(reserve("HA port", address).is_err());
        let listener = listen(kept).unwrap();
        tokio::net::TcpStream::connect(address).await.unwrap();
        drop(listener);
        let kept = reserve("port of broker-a", address).unwrap();
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
        let _server = listen_for_commands(kept, &Arc::default()).unwrap();
        tokio::net::TcpStream::connect(address).await.unwrap();
    }

    #[test]
    fn lines_of_the_kernel_are_read() {
        let line = "   1: 0200007F:2694 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0";
        let listens_at = |address: &str| listening_inode(line, address.parse().unwrap());
        if cfg!(target_endian = "little") {
            assert_eq!(listens_at("127.0.0.2:9876"), Some(4711));
        }
        assert_eq!(listens_at("0.0.0.0:9876"), Some(4711));
        assert_eq!(listens_at("127.0.0.1:9876"), None);
        assert_eq!(listens_at("127.0.0.2:9877"), None);
        assert_eq!(listening_inode("", "127.0.0.1:1".parse().unwrap()), None);
    }
}
