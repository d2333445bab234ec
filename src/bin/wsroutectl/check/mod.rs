//! `wsroutectl check URL`: opens a WebSocket as a browser does, and says where it breaks.

mod certificate;
mod door;
mod ends;
mod frames;
mod h2;
mod handshake;
mod http;
mod log;
mod network;
mod options;
mod probes;
mod refusal;
mod report;
mod session;
mod silence;
mod steps;
mod target;
mod tls;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use crate::output;
use steps::Check;

/// Open a WebSocket as a browser does, and say where it breaks
///
/// Name, TCP, TLS and certificate, HTTP, upgrade, ping, staying open, close, HTTP/2: each step is
/// told as it is done. If the WebSocket does not work, further questions to the server tell the
/// causes apart; the verdict names the hop at fault and the mend.
///
/// wsroutectl check wss://desktop.example.org/desktop/alice/websockify --user alice
/// wsroutectl check localhost:5020 http /
///
/// Exit code 0: it works. 1: it does not work. 2: it cannot be tested.
#[derive(clap::Args)]
#[command(verbatim_doc_comment)]
pub struct Args {
    /// The URL that the page opens, or DOMAIN[/PATH] [PROTOCOL] [HEALTH].
    #[arg(value_name = "URL", num_args = 1..=3, required = true)]
    words: Vec<String>,
    /// A request header, "Name: value"; repeatable. "Name:" takes one away.
    #[arg(short = 'H', long = "header", value_name = "HEADER", value_parser = options::header)]
    headers: Vec<(String, String)>,
    /// Basic login; without a password it is taken from --password-file or WSROUTECTL_PASSWORD.
    #[arg(long, value_name = "NAME[:PASSWORD]")]
    user: Option<String>,
    /// The password of --user: the file's first line.
    #[arg(long, value_name = "FILE", requires = "user")]
    password_file: Option<PathBuf>,
    /// The page's origin, https://portal.example; default: the server's own. "" for none.
    #[arg(long, value_name = "ORIGIN")]
    origin: Option<String>,
    /// The subprotocols to offer; default: binary, as noVNC does. "" for none.
    #[arg(long, value_name = "NAMES")]
    subprotocol: Option<String>,
    /// Cookies, "NAME=VALUE; NAME=VALUE".
    #[arg(long, value_name = "COOKIES")]
    cookie: Option<String>,
    /// Connect there, whatever the name's address is.
    #[arg(long, value_name = "ADDR:PORT")]
    connect: Option<SocketAddr>,
    /// Go on with any certificate.
    #[arg(long)]
    insecure: bool,
    /// Certificates to trust besides the system's (PEM).
    #[arg(long, value_name = "FILE")]
    ca: Option<PathBuf>,
    /// Seconds to stay open.
    #[arg(long, visible_alias = "stay", value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u64).range(0..=86400))]
    hold: u64,
    /// Stay open and silent for 66 seconds: finds what cuts after 60.
    #[arg(long, conflicts_with = "hold")]
    idle: bool,
    /// Seconds for each step.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    timeout: u64,
    /// The path for the plain GET; default: the URL's.
    #[arg(long, value_name = "PATH")]
    health: Option<String>,
    /// httpd's error log, to name the cause of a refusal; repeatable. Default: those of
    /// /var/log/apache2 and /var/log/httpd, if the server is this machine.
    #[arg(long, value_name = "FILE")]
    log: Vec<PathBuf>,
    /// Print one JSON object with the same facts.
    #[arg(long)]
    json: bool,
}

/// Checks, prints, and says by the exit code how it went.
pub fn run(args: &Args) -> ExitCode {
    let prepared = Check::new(args);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match (prepared, runtime) {
        (Ok(mut check), Ok(runtime)) => {
            runtime.block_on(check.steps());
            // A name server that is late still holds a thread.
            runtime.shutdown_background();
            ExitCode::from(if check.end() { 0 } else { 1 })
        }
        (Err(text), _) => output::fail(&text),
        (_, Err(e)) => output::fail(&format!("cannot start: {e}")),
    }
}
