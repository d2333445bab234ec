//! The steps "name", "tcp" and "tls", and every further connection for a probe.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::certificate::{self, Facts};
use super::http::{self, Answer, Io, NoAnswer};
use super::report::{Mark, Report, Verdict};
use super::target::Target;
use super::tls::{Shown, Trust};
use crate::headers::Headers;

/// How to get to the server. The address is the one that answered.
pub struct Door {
    /// What is checked.
    pub target: Target,
    /// Where it is.
    pub address: SocketAddr,
    /// Of each step.
    pub limit: Duration,
    trust: Trust,
}

/// What the options say about connecting.
pub struct Way {
    /// Connect here instead of where the name leads.
    pub connect: Option<SocketAddr>,
    /// Whom to trust.
    pub trust: Trust,
    /// The certificate is not judged.
    pub insecure: bool,
    /// Of each step.
    pub limit: Duration,
}

impl Door {
    /// Goes from the name to TLS and tells each step. `None`: a verdict is in the report.
    pub async fn find(target: Target, way: Way, report: &mut Report) -> Option<(Door, Facts)> {
        let addresses = match way.connect {
            Some(address) => vec![address],
            None => name(&target, way.limit, report).await?,
        };
        let address = tcp(&addresses, way.limit, report).await?;
        let door = Door { target, address, limit: way.limit, trust: way.trust };
        let facts = match door.target.tls {
            true => door.tls(way.insecure, report).await?,
            false => Facts::default(),
        };
        Some((door, facts))
    }

    async fn open_for(&self, target: &Target) -> Result<Box<dyn Io>, NoAnswer> {
        let open = async {
            if !target.tls {
                return Ok(Box::new(self.open_tcp().await?) as Box<dyn Io>);
            }
            let (stream, _) = self.open_tls(&target.host, &["http/1.1"]).await?;
            Ok(Box::new(stream) as Box<dyn Io>)
        };
        let opened = timeout(self.limit, open).await.map_err(|_| NoAnswer::Late)?;
        opened.map_err(|e: std::io::Error| NoAnswer::Closed(e.to_string()))
    }

    async fn open_tcp(&self) -> std::io::Result<TcpStream> {
        let tcp = TcpStream::connect(self.address).await?;
        tcp.set_nodelay(true)?;
        Ok(tcp)
    }

    async fn open_tls(
        &self,
        host: &str,
        alpn: &[&str],
    ) -> std::io::Result<(TlsStream<TcpStream>, Shown)> {
        self.trust.connect(self.open_tcp().await?, host, alpn).await
    }

    /// Asks the target for the upgrade. Behind a 101 the connection is the WebSocket's.
    ///
    /// # Errors
    /// No answer.
    pub async fn upgrade(&self, sent: &Headers) -> Result<(Answer, Box<dyn Io>), NoAnswer> {
        self.exchange(&self.target, sent).await
    }

    /// Asks on a connection of its own.
    ///
    /// # Errors
    /// No answer.
    pub async fn ask(&self, target: &Target, headers: &Headers) -> Result<Answer, NoAnswer> {
        Ok(self.exchange(target, headers).await?.0)
    }

    async fn exchange(
        &self,
        target: &Target,
        headers: &Headers,
    ) -> Result<(Answer, Box<dyn Io>), NoAnswer> {
        let mut io = self.open_for(target).await?;
        let head = http::head(&target.path, headers);
        let answer = http::exchange(&mut *io, &head, self.limit).await?;
        Ok((answer, io))
    }

    /// A TLS connection whose server would speak HTTP/2; `None` if it does not.
    pub async fn open_h2(&self) -> Option<Box<dyn Io>> {
        let connect = self.open_tls(&self.target.host, &["h2", "http/1.1"]);
        let (stream, shown) = timeout(self.limit, connect).await.ok()?.ok()?;
        shown.h2.then(|| Box::new(stream) as Box<dyn Io>)
    }

    /// The port speaks TLS.
    pub async fn speaks_tls(&self) -> bool {
        let target = Target { tls: true, ..self.target.clone() };
        self.open_for(&target).await.is_ok()
    }

    async fn speaks_http(&self) -> bool {
        let target = Target { tls: false, ..self.target.clone() };
        let headers = vec![("Host".to_owned(), target.authority.clone())];
        self.ask(&target, &headers).await.is_ok()
    }

    async fn tls(&self, insecure: bool, report: &mut Report) -> Option<Facts> {
        report.waiting("TLS");
        let host = &self.target.host;
        let text = match timeout(self.limit, self.open_tls(host, &["http/1.1"])).await {
            Ok(Ok((_, shown))) => {
                report.step("tls", Mark::Ok, shown.version);
                return Some(certificate::step(&shown, &self.target, insecure, report));
            }
            Ok(Err(e)) => e.to_string(),
            Err(_) => "no answer in time".to_owned(),
        };
        let verdict = match self.speaks_http().await {
            true => Verdict::new(
                "http-on-tls-port",
                "the URL, or httpd",
                format!("port {} speaks HTTP without TLS", self.target.port),
                "use ws://, or SSLEngine on in that <VirtualHost>; from an https page only wss:// is allowed",
            ),
            false => Verdict::new(
                "tls-failed",
                "httpd (TLS)",
                format!("no TLS with {host}: {text}"),
                "look at the error log (ssl:info); SSLEngine on, SSLProtocol with TLSv1.2 or later, ServerName",
            ),
        };
        report.fail("tls", text, verdict);
        None
    }
}

async fn name(target: &Target, limit: Duration, report: &mut Report) -> Option<Vec<SocketAddr>> {
    report.waiting("looking up the name");
    let looked = timeout(limit, lookup_host((target.host.as_str(), target.port))).await;
    let text = match looked {
        Ok(Ok(found)) => {
            let found: Vec<SocketAddr> = found.collect();
            if !found.is_empty() {
                let shown: Vec<String> = found.iter().map(|a| a.ip().to_string()).collect();
                report.step("name", Mark::Ok, format!("{} is {}", target.host, shown.join(", ")));
                return Some(found);
            }
            "no address".to_owned()
        }
        Ok(Err(e)) => e.to_string(),
        Err(_) => "the name server is late".to_owned(),
    };
    let verdict = Verdict::new(
        "no-such-name",
        "DNS",
        format!("{} has no address: {text}", target.host),
        "mend the spelling or the DNS record (wildcards: *.example.org); to go on without: --connect ADDR:PORT",
    );
    report.fail("name", text, verdict);
    None
}

async fn tcp(addresses: &[SocketAddr], limit: Duration, report: &mut Report) -> Option<SocketAddr> {
    let mut failures = Vec::new();
    let mut late = false;
    for address in addresses {
        report.waiting(&format!("connecting to {address}"));
        let text = match timeout(limit, TcpStream::connect(address)).await {
            Ok(Ok(_)) => {
                let (mark, before) = match failures.is_empty() {
                    true => (Mark::Ok, String::new()),
                    false => (Mark::Warn, format!("; before that {}", failures.join(", "))),
                };
                report.step("tcp", mark, format!("{address} answers{before}"));
                return Some(*address);
            }
            Ok(Err(e)) if e.kind() == ErrorKind::ConnectionRefused => "refused".to_owned(),
            Ok(Err(e)) => e.to_string(),
            Err(_) => {
                late = true;
                "no answer".to_owned()
            }
        };
        failures.push(format!("{address}: {text}"));
    }
    let text = failures.join(", ");
    let verdict = match late {
        true => Verdict::new(
            "tcp-silent",
            "network",
            format!("no connection: {text}"),
            "a firewall drops the packets, or the host is down",
        ),
        false => Verdict::new(
            "tcp-refused",
            "httpd, or network",
            format!("no connection: {text}"),
            "is httpd running, is the port right, does Listen name this address?",
        ),
    };
    report.fail("tcp", text, verdict);
    None
}
