//! What the tests of `wsroutectl check` are written with.

use crate::harness::{Conn, Httpd, Upstream, drain};
use crate::run::{Said, wsroutectl};
use serde_json::Value;
use tokio::io::AsyncWriteExt;

/// What `check --json` found.
pub struct Checked {
    /// As it was printed.
    pub said: Said,
    /// The same as JSON.
    pub told: Value,
}

/// `wsroutectl check --json ARGS`
pub fn check(args: &[&str]) -> Checked {
    Checked::of(wsroutectl(&[&["check", "--json"], args].concat()), args)
}

impl Checked {
    /// What was said to these arguments.
    pub fn of(said: Said, args: &[&str]) -> Checked {
        let told = serde_json::from_str(&said.out)
            .unwrap_or_else(|e| panic!("{args:?}: {e}: {}{}", said.out, said.err));
        Checked { said, told }
    }

    /// It does not work, for this cause; the verdict has these words.
    pub fn finds(&self, cause: &str, words: &[&str]) {
        let verdict = &self.told["verdict"];
        let what = format!("{cause}: {:#}", self.told);
        assert_eq!((verdict["cause"].as_str(), self.said.code), (Some(cause), 1), "{what}");
        let text = ["hop", "what", "mend"].map(|f| verdict[f].as_str().expect("text")).join(" ");
        for word in words {
            assert!(text.contains(word), "{word}: {what}");
        }
    }
}

/// `ws://localhost:PORT/path` of an httpd.
pub fn url(httpd: &Httpd, path: &str) -> String {
    format!("ws://localhost:{}{path}", httpd.port())
}

/// A port on which nobody listens.
pub fn nowhere() -> String {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    socket.local_addr().expect("its number").to_string()
}

/// Answers, and ends.
pub async fn answer(mut conn: Conn, status: &str, headers: &str, body: &str) {
    let length = body.len();
    let answer = format!(
        "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    let _ = conn.ws.try_raw(answer.as_bytes()).await;
    let _ = conn.ws.io.shutdown().await;
    drain(conn).await;
}

/// An application that takes upgrades, and asks for one otherwise.
pub async fn application() -> Upstream {
    Upstream::serve(|mut conn| async move {
        if !conn.seen.header("Upgrade").eq_ignore_ascii_case("websocket") {
            return answer(conn, "426 Upgrade Required", "Server: app\r\n", "upgrade, please")
                .await;
        }
        conn.accept().await;
        drain(conn).await;
    })
    .await
}

/// An application that answers everything like this.
pub async fn always(status: &'static str, headers: &'static str, body: &'static str) -> Upstream {
    Upstream::serve(move |conn| answer(conn, status, headers, body)).await
}

/// It works, and there is nothing to find fault with.
pub fn works(args: &[&str]) {
    let said = wsroutectl(&[&["check", "--hold", "1"], args].concat());
    let marked = |mark| said.out.lines().any(|line: &str| line.starts_with(mark));
    assert!(
        said.code == 0 && !marked("FAIL") && !marked("warn"),
        "{args:?}: {}{}",
        said.out,
        said.err
    );
    assert!(said.out.contains(" works\n"), "{}", said.out);
    for step in ["tcp", "http", "upgrade", "subprotocol", "ping", "frames", "open", "close"] {
        assert!(said.out.contains(&format!("  {step:11}  ")), "{step}: {}", said.out);
    }
}
