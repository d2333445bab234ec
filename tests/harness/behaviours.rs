//! Upstreams that more than one test wants.

use super::ws::{CLOSE, PING, PONG, frame};
use super::{Certificate, Conn, Pki, Upstream};
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

impl Upstream {
    /// Sends every frame back as it came (pings as pongs), answers a Close and ends then.
    pub async fn echo() -> Upstream {
        Upstream::serve(echo).await
    }

    /// The same behind a self-signed certificate.
    pub async fn echo_tls() -> Upstream {
        Upstream::echo_tls_with(&Pki::get().self_signed).await
    }

    /// The same behind a given certificate.
    pub async fn echo_tls_with(certificate: &Certificate) -> Upstream {
        Upstream::serve_tls(certificate, echo).await
    }

    /// Sends every byte back, frame or not.
    pub async fn bytes() -> Upstream {
        Upstream::serve(|mut conn| async move {
            let early = std::mem::take(&mut conn.ws.buffer);
            conn.accept_with("", &early).await;
            let mut chunk = [0; 16 << 10];
            while let Ok(n @ 1..) = conn.ws.io.read(&mut chunk).await {
                if conn.ws.try_raw(&chunk[..n]).await.is_err() {
                    return;
                }
            }
        })
        .await
    }

    /// The echo at a given address, which must be free.
    pub async fn echo_at(address: SocketAddr) -> Upstream {
        Upstream::listen(address, None, echo).await
    }

    /// Echoes, and says its name first.
    pub async fn named(name: &'static str) -> Upstream {
        Upstream::serve(move |mut conn| async move {
            let hello = frame(1, true, false, name.as_bytes());
            conn.accept_with("", &hello).await;
            frames(conn).await;
        })
        .await
    }

    /// Answers every request with these bytes, and then ends.
    pub async fn says(answer: impl Into<String>) -> Upstream {
        let answer = answer.into();
        Upstream::serve(move |mut conn| {
            let answer = answer.clone();
            async move {
                let _ = conn.ws.try_raw(answer.as_bytes()).await;
                let _ = conn.ws.io.shutdown().await;
                drain(conn).await;
            }
        })
        .await
    }

    /// Takes the request and never answers.
    pub async fn silent() -> Upstream {
        Upstream::serve(drain).await
    }

    /// KasmVNC 1.3.3's parser: what it does not like, it does not take for a WebSocket.
    pub async fn kasm(user: &'static str, password: &'static str) -> Upstream {
        Upstream::serve_tls(&Pki::get().self_signed, move |conn| kasm(conn, user, password)).await
    }
}

async fn echo(mut conn: Conn) {
    conn.accept().await;
    frames(conn).await;
}

async fn frames(mut conn: Conn) {
    while let Some(f) = conn.ws.next().await {
        let op = if f.op == PING { PONG } else { f.op };
        let bytes = frame(op, f.fin, false, &f.data);
        if conn.ws.try_raw(&bytes).await.is_err() || f.op == CLOSE {
            break;
        }
    }
    let _ = conn.ws.io.shutdown().await;
    drain(conn).await;
}

/// Reads to the end.
pub async fn drain(mut conn: Conn) {
    let mut chunk = [0; 4096];
    while let Ok(1..) = conn.ws.io.read(&mut chunk).await {}
}

async fn kasm(mut conn: Conn, user: &str, password: &str) {
    use base64::Engine;
    let head = conn.seen.head.clone();
    let demanded = ["\r\nHost: ", "\r\nConnection: ", "\r\nOrigin: ", "\r\nUpgrade: "];
    let keys = ["\r\nSec-WebSocket-Key: ", "\r\nSec-WebSocket-Protocol: "];
    let sized = conn.seen.reads < 10 && head.len() < 16 << 10;
    let shaped = head.starts_with("GET ") && conn.seen.line().ends_with(" HTTP/1.1");
    if !sized {
        return;
    }
    let credentials =
        base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let answer = if !head.contains(&format!("\r\nAuthorization: Basic {credentials}\r\n")) {
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"Websockify\"\r\n\r\n"
    } else if !shaped || !demanded.iter().chain(&keys).all(|d| head.contains(d)) {
        "HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\n"
    } else {
        return echo(conn).await;
    };
    let _ = conn.ws.try_raw(answer.as_bytes()).await;
    let _ = conn.ws.io.shutdown().await;
    drain(conn).await;
}
