//! Containers as the examples expect them.

use super::KASM_BASIC;
use crate::harness::*;
use std::net::SocketAddr;

/// A KasmVNC container: TLS with a certificate of its own, Basic credentials for everything, a page
/// for every path, and a WebSocket that says its name and then echoes.
pub async fn kasm(name: &'static str) -> Upstream {
    Upstream::serve_tls(&Pki::get().self_signed, move |conn| async move {
        match conn.seen.header("Authorization") == format!("Basic {KASM_BASIC}") {
            true => serve(conn, name).await,
            false => answer(conn, "401 Unauthorized", "who are you?").await,
        }
    })
    .await
}

/// A container without TLS and credentials at `address`.
pub async fn plain_at(address: SocketAddr, name: &'static str) -> Upstream {
    Upstream::serve_at(address, move |conn| serve(conn, name)).await
}

async fn serve(mut conn: Conn, name: &'static str) {
    if conn.seen.header("Upgrade").is_empty() {
        let body = format!("{name} {}", conn.seen.target());
        return answer(conn, "200 OK", &body).await;
    }
    conn.accept_with("", &frame(TEXT, true, false, name.as_bytes())).await;
    while let Some(f) = conn.ws.next().await {
        let bytes = frame(f.op, f.fin, false, &f.data);
        if conn.ws.try_raw(&bytes).await.is_err() || f.op == CLOSE {
            return;
        }
    }
}

async fn answer(mut conn: Conn, status: &str, body: &str) {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    let _ = conn.ws.try_raw((head + body).as_bytes()).await;
}
