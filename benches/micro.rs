//! What one step costs: detection, routing, the handshake's heads, the frame cursor.
//!
//!     cargo bench --no-default-features

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mod_wsroute::route::key::candidates;
use mod_wsroute::route::{
    self, Ask, Candidate, Expressions, Facts, KeyRule, ResolverConfig, Resolvers, Route, Sources,
};
use mod_wsroute::upgrade::frame::FrameCursor;
use mod_wsroute::upgrade::{Request, accept, detect};
use mod_wsroute::upstream::{Extras, Target, UpstreamPolicy, request_head, response_head};
use std::hint::black_box;
use tokio::runtime::{Builder, Runtime};

/// What websockify answers.
const RESPONSE: &[u8] = b"HTTP/1.1 101 Switching Protocols\r\n\
    Server: WebSockify Python/3.11.2\r\n\
    Date: Tue, 24 Nov 2026 19:05:00 GMT\r\n\
    Upgrade: websocket\r\n\
    Connection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
    Sec-WebSocket-Protocol: binary\r\n\r\n";

struct NoExpressions;

impl Expressions for NoExpressions {
    fn evaluate(&self, text: &str) -> Result<String, String> {
        Err(text.to_owned())
    }
}

/// What a browser sends to open a WebSocket.
fn request() -> Request {
    let headers = [
        ("Host", "desktop-alice.example.org"),
        ("Connection", "keep-alive, Upgrade"),
        ("Pragma", "no-cache"),
        ("Cache-Control", "no-cache"),
        (
            "User-Agent",
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/141.0 Safari/537.36",
        ),
        ("Upgrade", "websocket"),
        ("Origin", "https://desktop-alice.example.org"),
        ("Sec-WebSocket-Version", "13"),
        ("Accept-Encoding", "gzip, deflate, br, zstd"),
        ("Accept-Language", "en-US,en;q=0.9"),
        ("Cookie", "session=eyJ1c2VyIjoiYWxpY2UifQ.aAbBcC.0123456789abcdefghij; theme=dark"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("Sec-WebSocket-Extensions", "permessage-deflate; client_max_window_bits"),
        ("Sec-WebSocket-Protocol", "binary"),
    ];
    Request {
        method: "GET".into(),
        http11: true,
        path: "/websockify".into(),
        raw_path: "/websockify".into(),
        host: "desktop-alice.example.org".into(),
        headers: headers.map(|(n, v)| (n.to_owned(), v.as_bytes().to_vec())).to_vec(),
        user: Some("alice".into()),
        ..Request::default()
    }
}

/// What a browser sends for a page's image: every plain request of a site pays for its detection.
fn plain_request() -> Request {
    let mut request = request();
    request.headers.retain(|(name, _)| name != "Upgrade" && !name.starts_with("Sec-WebSocket-"));
    for (name, value) in &mut request.headers {
        if name == "Connection" {
            *value = b"keep-alive".to_vec();
        }
    }
    request
}

fn detection(c: &mut Criterion) {
    let (upgrade, plain) = (request(), plain_request());
    let mut group = c.benchmark_group("detect");
    group.bench_function("an upgrade", |b| b.iter(|| detect(black_box(&upgrade))));
    group.bench_function("a request that is no upgrade", |b| b.iter(|| detect(black_box(&plain))));
}

/// The way from a request to its target, as the module goes it.
fn decide(
    runtime: &Runtime,
    route: &Route,
    rules: &[KeyRule],
    resolvers: &Resolvers,
    request: &Request,
) {
    let sources = Sources { expressions: &NoExpressions, claims: None };
    let candidates: Vec<Candidate> =
        candidates(rules, request, &sources, &mut Vec::new()).expect("keys");
    let ask = Ask {
        route,
        candidates: &candidates,
        resolvers,
        owner: None,
        facts: &Facts::of(request),
        default_tls: false,
        path: None,
    };
    black_box(runtime.block_on(route::decide(ask, &mut Vec::new())).expect("a target"));
}

fn routing(c: &mut Criterion) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let _inside = runtime.enter();
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("desktops");
    std::fs::write(&file, "alice 10.0.0.5:6901\n").expect("a file");
    let arguments = ["file", file.to_str().expect("a name"), "ttl=1h"];
    let resolver = ResolverConfig::parse("d", &arguments).expect("a resolver").build();
    let resolvers: Resolvers = [resolver].into_iter().collect();
    let by_host = [KeyRule::parse(&["host", r"^desktop-([^.]+)\."]).expect("a rule")];
    let request = request();
    let literal = Route::parse(&["ws://10.0.0.5:6901"]).expect("a route");
    let template = Route::parse(&["ws://{key}.desktops:6901"]).expect("a route");
    let cached = Route::parse(&["d"]).expect("a route");
    let mut group = c.benchmark_group("route");
    group.bench_function("a literal URL", |b| {
        b.iter(|| decide(&runtime, &literal, &[], &resolvers, &request));
    });
    group.bench_function("a template with a host key", |b| {
        b.iter(|| decide(&runtime, &template, &by_host, &resolvers, &request));
    });
    group.bench_function("a cached answer, host key", |b| {
        b.iter(|| decide(&runtime, &cached, &by_host, &resolvers, &request));
    });
}

fn handshake(c: &mut Criterion) {
    let request = request();
    let Ok(Route::Template(template)) = Route::parse(&["ws://10.0.0.5:6901"]) else { return };
    let target: Target = template.expand(None, "/websockify", None).expect("a target");
    let (policy, extras) = (UpstreamPolicy::default(), Extras::default());
    let runtime = Builder::new_current_thread().build().expect("a runtime");
    let mut group = c.benchmark_group("handshake");
    group.bench_function("build the request's head", |b| {
        b.iter(|| request_head::build(black_box(&target), &request, &policy, &extras));
    });
    group.bench_function("read the response's head", |b| {
        b.to_async(&runtime).iter(|| async {
            response_head::read(&mut black_box(RESPONSE), "container").await.expect("a head")
        });
    });
    group.bench_function("the accept value", |b| {
        b.iter(|| accept(black_box("dGhlIHNhbXBsZSBub25jZQ==")));
    });
}

fn frames(c: &mut Criterion) {
    // 64 KiB of frames of that payload, unmasked.
    let stream = |payload: usize| -> Vec<u8> {
        let mut head = vec![0x82];
        match payload {
            0..126 => head.push(payload as u8),
            _ => head.extend([126, (payload >> 8) as u8, payload as u8]),
        }
        let frame = [head, vec![7; payload]].concat();
        frame.iter().copied().cycle().take(frame.len() * ((64 << 10) / frame.len())).collect()
    };
    let mut group = c.benchmark_group("frame cursor, 64 KiB");
    for payload in [64, 1400, 16384] {
        let bytes = stream(payload);
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(format!("frames of {payload}"), |b| {
            b.iter(|| {
                let mut cursor = FrameCursor::default();
                cursor.advance(black_box(&bytes));
            });
        });
    }
}

criterion_group!(all, detection, routing, handshake, frames);
criterion_main!(all);
