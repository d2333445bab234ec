//! The request that a browser would send, as the module would see it inside httpd.

use mod_wsroute::apache::{Config, Server};
use mod_wsroute::upgrade::path::{self, EncodedSlashes};
use mod_wsroute::upgrade::{Request, path::BadPath};
use mod_wsroute::upstream::{Address, target::Target};

use super::Args;
use crate::headers::{self, Headers};

/// What a browser sends besides `Host`. The key is the example of RFC 6455.
const HANDSHAKE: [(&str, &str); 4] = [
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Version", "13"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

/// Where a URL leads.
pub struct Asked {
    /// `https` or `wss`.
    pub tls: bool,
    /// The host's address, if the URL has one instead of a name.
    pub address: Option<std::net::IpAddr>,
    /// The port of the connection.
    pub port: u16,
    /// The host of the `Host` header: lower case, without port.
    pub host: String,
    path: String,
    query: Option<String>,
    headers: Headers,
}

impl Asked {
    /// Takes the URL apart and completes the headers.
    ///
    /// # Errors
    /// A URL that no browser would open, as one line.
    pub fn new(args: &Args) -> Result<Asked, String> {
        let (scheme, rest) = args.url.split_once("://").ok_or_else(|| {
            format!("{:?} is no URL, use wss://desktop.example.org/path", args.url)
        })?;
        let rest = rest.split('#').next().unwrap_or_default();
        let (authority, rest) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        let server = Target::parse_url(&format!("{scheme}://{authority}"));
        let server = server.map_err(|e| format!("{:?}: {e}", args.url))?;
        let Address::Tcp { host, port } = server.address else {
            return Err(format!("{:?} names a socket, use ws:// or wss://", args.url));
        };
        let (path, query) = match rest.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (rest, None),
        };
        let usual = [("Host", authority)].into_iter().chain(HANDSHAKE);
        let usual = usual.map(|(name, value)| (name, value.to_owned()));
        let headers = headers::complete(usual, &args.headers);
        let named = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("Host"));
        let named = named.and_then(|(_, value)| {
            let url = Target::parse_url(&format!("{scheme}://{value}")).ok()?;
            let Address::Tcp { host, .. } = url.address else { return None };
            Some(host)
        });
        Ok(Asked {
            tls: server.tls,
            address: host.parse().ok(),
            port,
            host: named.unwrap_or(host),
            path: if path.is_empty() { "/".to_owned() } else { path.to_owned() },
            query,
            headers,
        })
    }

    /// The request in `server`, before its section is known.
    ///
    /// # Errors
    /// A path that httpd refuses.
    pub fn request(
        &self,
        args: &Args,
        config: &Config,
        server: &Server,
    ) -> Result<Request, BadPath> {
        let value = |name| config.last(server, name).map(|d| d.args.to_ascii_lowercase());
        let slashes = match value("AllowEncodedSlashes").as_deref() {
            Some("on") => EncodedSlashes::Decode,
            Some("nodecode") => EncodedSlashes::Keep,
            _ => EncodedSlashes::Refuse,
        };
        let merge = value("MergeSlashes").as_deref() != Some("off");
        let seen = path::normalize(&self.path, slashes, merge)?;
        let decoded = String::from_utf8_lossy(&seen).into_owned();
        let raw_path = match path::means(&self.path, &seen) {
            true => self.path.clone(),
            false => path::escape(&decoded),
        };
        Ok(Request {
            path: decoded,
            raw_path,
            query: self.query.clone(),
            headers: self
                .headers
                .iter()
                .map(|(n, v)| (n.clone(), v.clone().into_bytes()))
                .collect(),
            host: self.host.clone(),
            user: args.user.clone(),
            client: args.client,
            https: server.tls,
            ..Request::default()
        })
    }
}
