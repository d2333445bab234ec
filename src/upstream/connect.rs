//! A TCP or Unix connection to a target, within a deadline and the allow-list.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::{Address, UpstreamError};
use crate::net::{Io, Socket};

/// Says which addresses may be connected to (`WsRouteAllow`). It is asked after DNS, for every
/// address, so that a name cannot smuggle one in. A closure `Fn(&str, SocketAddr) -> bool` serves;
/// it then allows no Unix socket.
pub trait Permit: Send + Sync {
    /// May `address`, one of the addresses of `host` (a name or an IP literal), be connected to?
    fn address(&self, host: &str, address: SocketAddr) -> bool;

    /// May the Unix socket `path` be connected to? By default not.
    fn unix(&self, _path: &Path) -> bool {
        false
    }
}

impl<F: Fn(&str, SocketAddr) -> bool + Send + Sync> Permit for F {
    fn address(&self, host: &str, address: SocketAddr) -> bool {
        self(host, address)
    }
}

/// A connection, before TLS.
pub struct Connected {
    /// The socket, with TCP_NODELAY where that applies.
    pub io: Box<dyn Io>,
    /// What to call the other side in logs: `host:port`, `name:port (address)` or the path.
    pub peer: String,
}

/// Connects to `address`. `within` covers DNS and all attempts; addresses are tried in the order
/// of the system's resolver, each with its share of the time left.
///
/// # Errors
/// `NotAllowed`, `Resolve`, `Refused`, `Unreachable`, `ConnectLate`.
pub async fn connect(
    address: &Address,
    within: Option<Duration>,
    permit: &dyn Permit,
) -> Result<Connected, UpstreamError> {
    let peer = plain_name(address);
    let attempt = async {
        match address {
            Address::Tcp { host, port } => tcp(host, *port, within, permit).await,
            Address::Unix(path) => unix(path, permit).await,
        }
    };
    match within {
        None => attempt.await,
        Some(within) => timeout(within, attempt)
            .await
            .unwrap_or(Err(UpstreamError::ConnectLate { peer, within })),
    }
}

async fn tcp(
    host: &str,
    port: u16,
    within: Option<Duration>,
    permit: &dyn Permit,
) -> Result<Connected, UpstreamError> {
    let end = within.map(|w| Instant::now() + w);
    let addresses = resolve(host, port).await?;
    let allowed: Vec<SocketAddr> =
        addresses.iter().copied().filter(|a| permit.address(host, *a)).collect();
    if allowed.is_empty() {
        return Err(UpstreamError::NotAllowed { peer: tcp_peer(host, port, &addresses) });
    }
    let mut worst = None;
    for (i, address) in allowed.iter().enumerate() {
        let peer = tcp_peer(host, port, &[*address]);
        let share = end.map(|end| (end - Instant::now()) / (allowed.len() - i) as u32);
        let error = match one(*address, share, peer).await {
            Ok(connected) => return Ok(connected),
            // A share is nobody's business: name the deadline that was configured.
            Err(UpstreamError::ConnectLate { peer, within: share }) => {
                UpstreamError::ConnectLate { peer, within: within.unwrap_or(share) }
            }
            Err(error) => error,
        };
        // "refused" tells most: another address's trouble must not hide it.
        if !matches!(worst, Some(UpstreamError::Refused { .. })) {
            worst = Some(error);
        }
    }
    // Unwrap: there was at least one address, and each either returned or left an error.
    Err(worst.unwrap())
}

/// DNS lookups at a time, in all: a name server that is silent must not take every thread that may
/// block.
static LOOKUPS: Semaphore = Semaphore::const_new(32);

/// The addresses of `host`, IPv4 ones in their own form. A literal needs no lookup.
///
/// # Errors
/// `Resolve`
pub async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, UpstreamError> {
    let failed = |source| UpstreamError::Resolve { peer: host_port(host, port), source };
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip.to_canonical(), port)]);
    }
    // The turn goes along: it is over when the thread is free, not when somebody stops waiting.
    let turn = LOOKUPS.acquire().await.ok();
    let name = host.to_owned();
    let looking = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        (name.as_str(), port).to_socket_addrs()
    });
    let found = looking.await.map_err(io::Error::other).and_then(|found| found).map_err(failed)?;
    // ::ffff:10.0.0.1 is 10.0.0.1 to the kernel, so it must be to the allow-list.
    let plain = |a: SocketAddr| match a.ip().to_canonical() {
        IpAddr::V4(v4) => SocketAddr::from((v4, port)),
        IpAddr::V6(_) => a,
    };
    let addresses: Vec<SocketAddr> = found.map(plain).collect();
    match addresses.is_empty() {
        true => Err(failed(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))),
        false => Ok(addresses),
    }
}

async fn one(
    address: SocketAddr,
    share: Option<Duration>,
    peer: String,
) -> Result<Connected, UpstreamError> {
    let connecting = TcpStream::connect(address);
    let result = match share {
        None => connecting.await,
        Some(within) => match timeout(within, connecting).await {
            Ok(result) => result,
            Err(_) => return Err(UpstreamError::ConnectLate { peer, within }),
        },
    };
    match result {
        Ok(socket) => {
            tune(&socket);
            Ok(Connected { io: Box::new(Socket::from(socket)), peer })
        }
        Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => {
            Err(UpstreamError::Refused { peer })
        }
        Err(source) => Err(UpstreamError::Unreachable { peer, source }),
    }
}

/// How long a connection may be silent before the kernel asks whether the other side lives, how
/// often it asks, and how many times.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_secs(60))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// Small messages leave at once, and a peer that vanished is noticed after two minutes. For the
/// sockets of both sides.
pub fn tune(socket: &impl AsFd) {
    // A socket that refuses an option still carries bytes.
    let socket = SockRef::from(socket);
    let _ = socket.set_tcp_nodelay(true);
    let _ = socket.set_tcp_keepalive(&KEEPALIVE);
}

async fn unix(path: &Path, permit: &dyn Permit) -> Result<Connected, UpstreamError> {
    let peer = path.display().to_string();
    if !permit.unix(path) {
        return Err(UpstreamError::NotAllowed { peer });
    }
    match UnixStream::connect(path).await {
        Ok(socket) => Ok(Connected { io: Box::new(Socket::from(socket)), peer }),
        // A socket that is not there yet is what a refused port is to TCP.
        Err(e)
            if matches!(e.kind(), io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound) =>
        {
            Err(UpstreamError::Refused { peer })
        }
        Err(source) => Err(UpstreamError::Unreachable { peer, source }),
    }
}

/// `host:port`, with brackets around an IPv6 address.
pub fn host_port(host: &str, port: u16) -> String {
    match host.contains(':') {
        true => format!("[{host}]:{port}"),
        false => format!("{host}:{port}"),
    }
}

fn plain_name(address: &Address) -> String {
    match address {
        Address::Tcp { host, port } => host_port(host, *port),
        Address::Unix(path) => path.display().to_string(),
    }
}

fn tcp_peer(host: &str, port: u16, addresses: &[SocketAddr]) -> String {
    let name = host_port(host, port);
    if host.parse::<IpAddr>().is_ok() {
        return name;
    }
    let ips: Vec<String> = addresses.iter().map(|a| a.ip().to_string()).collect();
    format!("{name} ({})", ips.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, UnixListener};

    fn tcp_address(host: &str, port: u16) -> Address {
        Address::Tcp { host: host.into(), port }
    }

    fn anything(_: &str, _: SocketAddr) -> bool {
        true
    }

    struct Sockets;
    impl Permit for Sockets {
        fn address(&self, _: &str, _: SocketAddr) -> bool {
            false
        }
        fn unix(&self, path: &Path) -> bool {
            path.ends_with("yes.sock")
        }
    }

    async fn error(address: &Address, permit: &dyn Permit) -> UpstreamError {
        match connect(address, Some(Duration::from_secs(5)), permit).await {
            Ok(c) => panic!("connected to {}", c.peer),
            Err(e) => e,
        }
    }

    #[tokio::test]
    async fn connects_by_address_and_by_name() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let literal = connect(&tcp_address("127.0.0.1", port), None, &anything).await.unwrap();
        assert_eq!(literal.peer, format!("127.0.0.1:{port}"));
        let v4 = |_: &str, a: SocketAddr| a.is_ipv4();
        let name = connect(&tcp_address("localhost", port), None, &v4).await.unwrap();
        assert_eq!(name.peer, format!("localhost:{port} (127.0.0.1)"));
    }

    #[tokio::test]
    async fn refused_port() {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let e = error(&tcp_address("127.0.0.1", port), &anything).await;
        assert!(matches!(e, UpstreamError::Refused { .. }) && e.connect_failed(), "{e}");
        assert_eq!(
            e.to_string(),
            format!("upstream-refused: 127.0.0.1:{port}: connection refused")
        );
    }

    #[tokio::test]
    async fn the_allow_list_is_asked_after_dns() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let no_loopback = |host: &str, a: SocketAddr| {
            assert_eq!(host, "localhost");
            !a.ip().is_loopback()
        };
        let e = error(&tcp_address("localhost", port), &no_loopback).await;
        assert_eq!(e.status(), 403, "{e}");
        assert!(e.to_string().contains("127.0.0.1"), "{e}");
    }

    #[tokio::test]
    async fn a_mapped_address_is_judged_as_what_it_is() {
        let no_ipv4 = |_: &str, a: SocketAddr| a.is_ipv6();
        assert_eq!(error(&tcp_address("::ffff:127.0.0.1", 1), &no_ipv4).await.status(), 403);
    }

    #[tokio::test]
    async fn unknown_name() {
        let e = error(&tcp_address("no-such-host.invalid", 1), &anything).await;
        assert!(matches!(e, UpstreamError::Resolve { .. }), "{e}");
        assert!(e.connect_failed());
    }

    #[tokio::test]
    async fn a_listener_that_never_accepts_is_late() {
        // A full backlog: Linux drops further SYNs, so that connecting hangs.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(0).unwrap();
        let address = listener.local_addr().unwrap();
        let mut held = Vec::new();
        for _ in 0..20 {
            match timeout(Duration::from_millis(50), TcpStream::connect(address)).await {
                Ok(stream) => held.push(stream),
                Err(_) => break,
            }
        }
        let within = Some(Duration::from_millis(50));
        let result = connect(&tcp_address("127.0.0.1", address.port()), within, &anything).await;
        let e = result.err().expect("the backlog is full");
        assert_eq!(e.status(), 504, "{e}");
        assert!(e.connect_failed());
    }

    #[tokio::test]
    async fn unix_sockets() {
        let dir = tempfile::tempdir().unwrap();
        let yes = dir.path().join("yes.sock");
        assert!(matches!(
            error(&Address::Unix(yes.clone()), &Sockets).await,
            UpstreamError::Refused { .. }
        ));
        let _listener = UnixListener::bind(&yes).unwrap();
        let connected = connect(&Address::Unix(yes.clone()), None, &Sockets).await.unwrap();
        assert_eq!(connected.peer, yes.display().to_string());
        assert_eq!(error(&Address::Unix(dir.path().join("no.sock")), &Sockets).await.status(), 403);
        assert_eq!(error(&Address::Unix(yes), &anything).await.status(), 403);
    }
}
