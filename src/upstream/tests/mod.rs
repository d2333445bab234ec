//! [`open`] against scripted upstreams on loopback sockets.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::testing::*;
use super::*;

mod plain;
mod tls;

const SHORT: Deadlines = Deadlines {
    connect: Some(Duration::from_secs(5)),
    handshake: Some(Duration::from_millis(150)),
};
const LONG: Deadlines =
    Deadlines { connect: Some(Duration::from_secs(10)), handshake: Some(Duration::from_secs(10)) };

fn anything(_: &str, _: std::net::SocketAddr) -> bool {
    true
}

fn policy(args: &str) -> UpstreamPolicy {
    UpstreamPolicy::parse(&args.split_whitespace().collect::<Vec<_>>()).unwrap()
}

async fn open_plain(
    address: std::net::SocketAddr,
    deadlines: Deadlines,
) -> Result<Opened, UpstreamError> {
    let extras = Extras::default();
    open(&target(&address.to_string()), &request(&[]), &policy(""), &extras, deadlines, &anything)
        .await
}

/// An upstream that reads the head, answers with `answer` and closes.
async fn answering(answer: &'static str) -> std::net::SocketAddr {
    upstream(move |mut socket| async move {
        read_head(&mut socket).await;
        socket.write_all(answer.as_bytes()).await.unwrap();
    })
    .await
}

async fn error_of(answer: &'static str) -> UpstreamError {
    match open_plain(answering(answer).await, LONG).await {
        Ok(_) => panic!("{answer:?} was accepted"),
        Err(e) => e,
    }
}

async fn all(body: &mut Body) -> std::io::Result<String> {
    let mut all = Vec::new();
    while let Some(piece) = body.next().await? {
        all.extend(piece);
    }
    Ok(String::from_utf8(all).unwrap())
}

fn switched(opened: Result<Opened, UpstreamError>) -> Switched {
    match opened {
        Ok(Opened::Switched(s)) => s,
        Ok(Opened::Answered(a)) => panic!("answered {}", a.status),
        Err(e) => panic!("{e}"),
    }
}

fn answered(opened: Result<Opened, UpstreamError>) -> Answered {
    match opened {
        Ok(Opened::Answered(a)) => a,
        Ok(Opened::Switched(_)) => panic!("switched"),
        Err(e) => panic!("{e}"),
    }
}
