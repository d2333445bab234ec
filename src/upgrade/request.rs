//! One client request as owned data: all that detection, routing and the upstream handshake ask
//! about it. Filled once (from httpd's `request_rec`, or by hand in tests), read-only afterwards.

use std::net::IpAddr;

/// A client's request head. `Send`, owns everything, outlives httpd's request pool.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, as the client spelled it.
    pub method: String,
    /// The request came with HTTP/1.1 or later.
    pub http11: bool,
    /// The path, percent-decoded and with dot segments removed: what `path` keys are taken from.
    pub path: String,
    /// The path as it goes upstream: percent-encoded, begins with `/`.
    pub raw_path: String,
    /// The query, byte for byte, without the `?`.
    pub query: Option<String>,
    /// Every header line in the client's order, names as the client spelled them.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The host asked for: lower case, without port and final dot. Empty if there is none.
    pub host: String,
    /// The authenticated user (`REMOTE_USER`).
    pub user: Option<String>,
    /// The client's address, as httpd sees it (mod_remoteip applied).
    pub client: IpAddr,
    /// The client's side is TLS.
    pub https: bool,
    /// The path of the `<Location>` that holds the `WsRoute`, if there is one.
    pub scope: Option<String>,
}

impl Request {
    /// The values of all lines of the header `name` (any case), in order.
    pub fn header_lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.headers
            .iter()
            .filter(move |(n, _)| n.eq_ignore_ascii_case(name))
            .map(|(_, v)| v.as_slice())
    }

    /// The first line of the header `name` (any case) if it is UTF-8.
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(value).ok()
    }

    /// The comma-separated items of all lines of the header `name`, trimmed (RFC 9110 5.6.1).
    /// Lines that are not UTF-8 are passed over.
    pub fn header_list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.header_lines(name)
            .filter_map(|v| std::str::from_utf8(v).ok())
            .flat_map(|v| v.split(','))
            .map(|t| t.trim_matches([' ', '\t']))
            .filter(|t| !t.is_empty())
    }
}

impl Default for Request {
    fn default() -> Self {
        Request {
            method: "GET".into(),
            http11: true,
            path: "/".into(),
            raw_path: "/".into(),
            query: None,
            headers: Vec::new(),
            host: String::new(),
            user: None,
            client: IpAddr::from([127, 0, 0, 1]),
            https: false,
            scope: None,
        }
    }
}
