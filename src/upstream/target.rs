//! Where to connect to: an address and, if the route says so, a path.

use std::fmt;
use std::path::PathBuf;

/// The transport address of an upstream.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Address {
    /// A DNS name or an IP literal (IPv6 without brackets) and a port.
    Tcp {
        /// Name or address.
        host: String,
        /// 1..=65535.
        port: u16,
    },
    /// A Unix stream socket.
    Unix(PathBuf),
}

/// An upstream: address, TLS or not, and the path if it is not the request's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Target {
    /// `wss` rather than `ws`.
    pub tls: bool,
    /// Where to connect to.
    pub address: Address,
    /// The path to ask for (percent-encoded, begins with `/`, without query); `None`: the request's own.
    pub path: Option<String>,
}

/// `ws://host:port`, `wss://[::1]:port`, `ws+unix:/path.sock`, followed by the path if there is one (`ws+unix:/path.sock:/uri`).
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let s = if self.tls { "wss" } else { "ws" };
        let path = self.path.as_deref().unwrap_or("");
        match &self.address {
            Address::Tcp { host, port } if host.contains(':') => write!(f, "{s}://[{host}]:{port}{path}"),
            Address::Tcp { host, port } => write!(f, "{s}://{host}:{port}{path}"),
            Address::Unix(p) if path.is_empty() => write!(f, "{s}+unix:{}", p.display()),
            Address::Unix(p) => write!(f, "{s}+unix:{}:{path}", p.display()),
        }
    }
}
