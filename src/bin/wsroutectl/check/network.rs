//! The steps "name" and "tcp": which addresses there are, and which of them answer.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::time::{Instant, timeout};

use super::report::{Mark, Report, Verdict};
use super::target::Target;

/// A look-up that takes longer is worth a warning.
const SLOW: Duration = Duration::from_secs(2);

/// The addresses of the name. `None`: a verdict is in the report.
pub async fn name(
    target: &Target,
    limit: Duration,
    report: &mut Report,
) -> Option<Vec<SocketAddr>> {
    report.waiting("looking up the name");
    let (host, began) = (&target.host, Instant::now());
    let looked = timeout(limit, lookup_host((host.as_str(), target.port))).await;
    let late = looked.is_err();
    let text = match looked {
        Err(_) => format!("no answer within {} s", limit.as_secs()),
        Ok(Ok(found)) => {
            let mut found: Vec<SocketAddr> = found.collect();
            found.dedup();
            if !found.is_empty() {
                tell(host, &found, began.elapsed(), report);
                return Some(found);
            }
            "no address".to_owned()
        }
        Ok(Err(e)) => e.to_string(),
    };
    let verdict = match late {
        true => Verdict::new(
            "name-late",
            "DNS, as this machine asks it",
            format!("the name server has not told the address of {host}: {text}"),
            "is a nameserver of /etc/resolv.conf down, or behind a firewall? To go on without: --connect ADDR:PORT; --timeout waits longer",
        ),
        false => Verdict::new(
            "no-such-name",
            "DNS",
            format!("{host} has no address: {text}"),
            "mend the spelling or the DNS record (wildcards: *.example.org); to go on without: --connect ADDR:PORT",
        ),
    };
    report.fail("name", text, verdict);
    None
}

fn tell(host: &str, found: &[SocketAddr], took: Duration, report: &mut Report) {
    let shown: Vec<String> = found.iter().map(|a| a.ip().to_string()).collect();
    let text = format!("{host} is {}", shown.join(", "));
    match took > SLOW {
        false => report.step("name", Mark::Ok, text),
        true => {
            let slow = format!(
                "{text}; the name server took {:.1} s, and browsers wait as long: is one of several down?",
                took.as_secs_f32()
            );
            report.step("name", Mark::Warn, slow);
        }
    }
}

/// Knocks at all addresses; gives the first that answers, and the others that do. `None`: a verdict is in the report.
pub async fn tcp(
    addresses: &[SocketAddr],
    limit: Duration,
    report: &mut Report,
) -> Option<(SocketAddr, Vec<SocketAddr>)> {
    report.waiting("connecting");
    let knocks: Vec<_> = addresses.iter().map(|a| tokio::spawn(knock(*a, limit))).collect();
    let (mut answering, mut failures) = (Vec::new(), Vec::new());
    for (address, knocking) in addresses.iter().zip(knocks) {
        match knocking.await.unwrap_or(Err(ErrorKind::Other)) {
            Ok(()) => answering.push(*address),
            Err(kind) => failures.push((*address, kind)),
        }
    }
    let shown: Vec<String> = failures.iter().map(|(a, kind)| format!("{a}: {kind}")).collect();
    let shown = shown.join(", ");
    let [address, ref others @ ..] = answering[..] else {
        let late = failures.iter().any(|(_, kind)| *kind == ErrorKind::TimedOut);
        report.fail("tcp", &shown, unreachable(late, &shown));
        return None;
    };
    let (mark, also) = match failures.is_empty() {
        true => (Mark::Ok, String::new()),
        false => {
            // This machine has no IPv6, or its own server listens where it was told to.
            let ours = [ErrorKind::NetworkUnreachable, ErrorKind::AddrNotAvailable];
            let local =
                failures.iter().all(|(a, kind)| a.ip().is_loopback() || ours.contains(kind));
            let mark = if local { Mark::Note } else { Mark::Warn };
            (
                mark,
                format!(
                    "; {shown}: browsers may try it first: Listen there, or no such DNS record"
                ),
            )
        }
    };
    report.step("tcp", mark, format!("{address} answers{also}"));
    Some((address, others.to_vec()))
}

/// One of a name's addresses does not have the WebSocket.
pub fn differs(target: &Target, works: SocketAddr, fails: SocketAddr, said: &str) -> Verdict {
    Verdict::new(
        "address-differs",
        "DNS, or httpd (Listen, <VirtualHost>)",
        format!(
            "{} has several addresses: at {works} the WebSocket works, at {fails} the answer is {said}",
            target.host
        ),
        format!(
            "browsers may take either: the same <VirtualHost> for both (*:PORT), or no DNS record for one; --connect {fails} tells more"
        ),
    )
}

async fn knock(address: SocketAddr, limit: Duration) -> Result<(), ErrorKind> {
    match timeout(limit, TcpStream::connect(address)).await {
        Ok(connected) => connected.map(drop).map_err(|e| e.kind()),
        Err(_) => Err(ErrorKind::TimedOut),
    }
}

fn unreachable(late: bool, shown: &str) -> Verdict {
    match late {
        true => Verdict::new(
            "tcp-silent",
            "network",
            format!("no connection: {shown}"),
            "a firewall drops the packets, or the host is down",
        ),
        false => Verdict::new(
            "tcp-refused",
            "httpd, or network",
            format!("no connection: {shown}"),
            "is httpd running, is the port right, does Listen name this address?",
        ),
    }
}
