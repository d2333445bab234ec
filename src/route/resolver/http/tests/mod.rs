//! Against a server in this process that sees every byte, and against a real application.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::route::resolver::testing::http_server::{HttpServer, Then, answer};
use crate::route::resolver::testing::{ask_beside_a_busy_runtime, query, some, target};

mod answers;
mod connections;
mod flask;
mod questions;
mod tls;

fn resolver(url: &str, options: &[&str]) -> HttpResolver {
    let options: Vec<_> = options.iter().map(|o| o.split_once('=').unwrap()).collect();
    HttpResolver::new(HttpConfig::parse(url, &options).unwrap())
}

/// A server that always gives this answer.
fn server(reply: Vec<u8>) -> HttpServer {
    HttpServer::tcp(move |_, out| out.write_all(&reply).map(|()| Then::Keep))
}

fn url(server: &HttpServer, rest: &str) -> String {
    format!("http://{}{rest}", server.address())
}

const ALICE: &str = r#"{"target":"10.0.0.5:6901"}"#;
