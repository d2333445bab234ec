//! What the integration tests are written with: a private httpd, upstreams in the test process,
//! and clients that see every byte.
//!
//! ```ignore
//! let up = Upstream::echo().await;
//! let httpd = Httpd::with(ws("/ws", &up.url())).start().await;
//! let mut ws = httpd.client().upgrade("/ws").await;
//! ws.echo("hello").await;
//! ```
//!
//! Environment: `WSROUTE_SO` names the module (default `target/mod_wsroute.so`),
//! `HTTPD` the server (default `/usr/sbin/apache2`), `HTTPD_MODULES` the folder of its modules,
//! `MPM` is `event` (default), `worker` or `prefork`. What is missing fails the run: nothing is
//! ever skipped because of the machine.

mod behaviours;
mod client;
#[allow(dead_code, reason = "also used by the tests of the crate")]
pub mod databases;
#[allow(dead_code, reason = "also used by the tests of the crate")]
pub mod docker_api;
#[allow(dead_code, reason = "also used by the tests of the crate")]
pub mod http_server;
mod httpd;
mod io;
mod log;
mod pki;
mod procs;
mod stream;
mod upstream;
pub mod words;
mod ws;

pub use behaviours::drain;
pub use client::{Answer, Client, accept_of};
pub use httpd::{Httpd, Mpm, Setup};
pub use io::{Io, Tls};
pub use log::Line;
pub use pki::{Certificate, Pki};
pub use stream::{Checked, patterned};
pub use upstream::{Conn, Upstream};
pub use ws::{BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, Ws, frame};

use std::future::Future;
use std::time::Duration;

/// How long a test waits for what should be there at once. Generous: the machine may be busy.
pub const SOON: Duration = Duration::from_secs(10);

/// Milliseconds, in words that fit into a line.
pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// Awaits `future`, and fails the test if it takes longer than `limit`.
pub async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {limit:?}"),
    }
}

/// Asks `condition` until it holds, and fails the test if that takes longer than `limit`.
pub async fn eventually(limit: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let until = std::time::Instant::now() + limit;
    while !condition() {
        assert!(std::time::Instant::now() < until, "{what}: not within {limit:?}");
        tokio::time::sleep(ms(10)).await;
    }
}

/// `<Location path>` around some lines.
pub fn location(path: &str, lines: &str) -> String {
    format!("<Location \"{path}\">\n{lines}\n</Location>\n")
}

/// The smallest configuration: a `<Location>` with one `WsRoute`.
pub fn ws(path: &str, route: &str) -> String {
    location(path, &format!("WsRoute \"{route}\""))
}

/// Runs a command to its end and returns what it printed; fails the test if it failed.
pub fn run(program: &str, arguments: &[&str]) -> String {
    let output = std::process::Command::new(program)
        .args(arguments)
        .output()
        .unwrap_or_else(|e| panic!("{program} is needed by the tests: {e}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).expect("output in UTF-8")
}
