//! The step "tls", and every further connection for a probe.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::client::TlsStream;

use super::certificate::{self, Facts};
use super::h2;
use super::http::{self, Answer, Io, NoAnswer};
use super::network;
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
    /// Its other addresses that answer.
    pub others: Vec<SocketAddr>,
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
            None => network::name(&target, way.limit, report).await?,
        };
        let (address, others) = network::tcp(&addresses, way.limit, report).await?;
        let door = Door { target, address, others, limit: way.limit, trust: way.trust };
        let facts = match door.target.tls {
            true => door.tls(way.insecure, report).await?,
            false => Facts::default(),
        };
        Some((door, facts))
    }

    /// The same server by another address.
    pub fn at(&self, address: SocketAddr) -> Door {
        let (target, trust) = (self.target.clone(), self.trust.clone());
        Door { target, address, others: Vec::new(), limit: self.limit, trust }
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
    pub async fn upgrade(&self, sent: &Headers) -> Result<(Answer, Option<Box<dyn Io>>), NoAnswer> {
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
    ) -> Result<(Answer, Option<Box<dyn Io>>), NoAnswer> {
        let io = self.open_for(target).await?;
        http::exchange(io, &http::head(&target.path, headers), self.limit).await
    }

    /// A TLS connection whose server speaks HTTP/2; `None` if it does not.
    pub async fn open_h2(&self) -> Option<Box<dyn Io>> {
        let connect = self.open_tls(&self.target.host, &["h2"]);
        let (stream, shown) = timeout(self.limit, connect).await.ok()?.ok()?;
        shown.h2.then(|| Box::new(stream) as Box<dyn Io>)
    }

    /// The port speaks TLS.
    pub async fn speaks_tls(&self) -> bool {
        let target = Target { tls: true, ..self.target.clone() };
        self.open_for(&target).await.is_ok()
    }

    /// The server wants a certificate of the client, and got none.
    pub fn asks_for_certificate(&self) -> bool {
        self.trust.asked_for_certificate()
    }

    async fn speaks_http(&self) -> bool {
        let target = Target { tls: false, ..self.target.clone() };
        let headers = vec![("Host".to_owned(), target.authority.clone())];
        self.ask(&target, &headers).await.is_ok()
    }

    async fn tls(&self, insecure: bool, report: &mut Report) -> Option<Facts> {
        report.waiting("TLS");
        let host = &self.target.host;
        let failure = match timeout(self.limit, self.open_tls(host, &["http/1.1"])).await {
            Ok(Ok((_, shown))) => {
                report.step("tls", Mark::Ok, shown.version);
                return Some(certificate::step(&shown, &self.target, insecure, report));
            }
            Ok(Err(e)) => e,
            Err(_) => std::io::Error::other("no answer in time"),
        };
        let text = failure.to_string();
        let verdict = match failure.get_ref().and_then(|e| e.downcast_ref::<rustls::Error>()) {
            _ if self.open_h2().await.is_some() => h2::only(),
            _ if self.asks_for_certificate() => client_certificate(&text),
            // What sends an alert speaks TLS.
            Some(rustls::Error::AlertReceived(_)) => tls_failed(host, &text),
            _ if self.speaks_http().await => Verdict::new(
                "http-on-tls-port",
                "the URL, or httpd",
                format!("port {} speaks HTTP without TLS", self.target.port),
                "use ws://, or SSLEngine on in that <VirtualHost>; from an https page only wss:// is allowed",
            ),
            _ => tls_failed(host, &text),
        };
        report.fail("tls", text, verdict);
        None
    }
}

fn tls_failed(host: &str, text: &str) -> Verdict {
    Verdict::new(
        "tls-failed",
        "httpd (TLS)",
        format!("no TLS with {host}: {text}"),
        "look at the error log (ssl:info); SSLEngine on, SSLProtocol with TLSv1.2 or later; UnrecognisedName: no ServerName, ServerAlias or certificate fits the name",
    )
}

/// `text`: how the server ended it.
pub fn client_certificate(text: &str) -> Verdict {
    Verdict::new(
        "client-certificate",
        "httpd (SSLVerifyClient), or a proxy in front",
        format!("the server demands a certificate of the client, and ended without one: {text}"),
        "browsers send one only if the user has it and has chosen it for the page; SSLVerifyClient optional, or none for that <VirtualHost>. This command has none: check from inside, without that door",
    )
}
