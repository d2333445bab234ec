//! The long runs: `make soak`. On event MPM; prints what it measured.

#[path = "../harness/mod.rs"]
#[allow(dead_code, unused_imports, reason = "the harness is shared with tests/httpd")]
mod harness;

use futures_util::future::join_all;
use harness::*;
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// One child with 25 worker threads, as in the issue on the main job.
const ONE_CHILD: &str = "StartServers 1\nServerLimit 1\nThreadsPerChild 25\n\
    MaxRequestWorkers 25\nAsyncRequestWorkerFactor 300";

async fn open(client: &Client, n: usize) -> Vec<Ws> {
    let mut all = Vec::with_capacity(n);
    while all.len() < n {
        let batch = (n - all.len()).min(50);
        all.extend(join_all((0..batch).map(|_| client.upgrade("/ws"))).await);
    }
    all
}

/// The slowest and the median of some plain requests.
async fn plain_http(client: &Client) -> (Duration, Duration) {
    let mut times = Vec::new();
    for _ in 0..50 {
        let asked = Instant::now();
        assert_eq!(client.get("/index.html").await.status, 200);
        times.push(asked.elapsed());
    }
    times.sort();
    (times[times.len() / 2], times[times.len() - 1])
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_idle_sessions_over_tls() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().limits(ONE_CHILD).start().await;
    httpd.log().allow("ServerLimit");
    httpd.log().allow("MaxRequestWorkers");
    let client = httpd.tls_client(Tls::V13);
    let before = plain_http(&client).await;
    let memory = httpd.memory();
    let mut all = open(&client, 2000).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let each = (httpd.memory() - memory) / all.len() / 1024;
    let during = plain_http(&client).await;
    let status = httpd.status().await;
    println!(
        "2,000 idle: {each} KiB each; plain HTTPS (median, slowest) before {before:?}, during \
         {during:?}; BusyWorkers {}, IdleWorkers {}",
        status["BusyWorkers"], status["IdleWorkers"]
    );
    assert_eq!(status["BusyWorkers"], "1", "the status page's own");
    for ws in &mut all {
        ws.echo("alive").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_cycles_over_tls_three_times() {
    let up = Upstream::echo().await;
    let httpd = Httpd::with(ws("/ws", &up.url())).tls().limits(ONE_CHILD).start().await;
    httpd.log().allow("ServerLimit");
    httpd.log().allow("MaxRequestWorkers");
    let client = httpd.tls_client(Tls::V13);
    let mut logged = 0;
    let mut first = 0;
    for round in 0..4 {
        // The first round warms up: caches, stacks, allocator.
        let cycles = if round == 0 { 2_000 } else { 10_000 };
        for _ in 0..cycles / 20 {
            join_all((0..20).map(|n| cycle(&client, n))).await;
        }
        logged += cycles;
        httpd.sessions_logged(logged).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
        let (descriptors, memory) = (httpd.descriptors(), httpd.memory() / 1024);
        if round == 0 {
            first = descriptors;
        }
        println!("round {round}: {cycles} cycles, {descriptors} descriptors, {memory} KiB");
        assert!(descriptors <= first + 2, "descriptors grew from {first} to {descriptors}");
    }
    let total = httpd.status().await["ConnsTotal"].clone();
    println!("ConnsTotal {total}");
}

async fn cycle(client: &Client, n: usize) {
    let mut ws = client.upgrade("/ws").await;
    ws.echo("hello").await;
    match n % 4 {
        0 => ws.io.reset(),
        1 => drop(ws),
        _ => ws.leave().await,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn twenty_graceful_restarts_with_two_hundred_sessions() {
    const DRAIN: Duration = Duration::from_secs(60);
    let up = Upstream::echo().await;
    let conf = ws("/ws", &up.url()) + "WsRouteTimeout drain=60s\n";
    let httpd = Httpd::with(conf).tls().start().await;
    let mut all = open(&httpd.client(), 100).await;
    all.extend(open(&httpd.tls_client(Tls::V13), 100).await);
    let began = Instant::now();
    let mut young = Vec::new();
    for round in 1..=20 {
        httpd.signal(Signal::USR1);
        httpd.until_started(round + 1).await;
        young.extend(open(&httpd.tls_client(Tls::V13), 2).await);
        for ws in all.iter_mut().chain(&mut young) {
            ws.echo("alive").await;
        }
    }
    println!("20 graceful restarts in {:?}; 240 sessions alive", began.elapsed());
    assert!(began.elapsed() < DRAIN, "too slow a machine for this test");
    for ws in &mut all {
        let frame = within(DRAIN * 2, "a Close frame", ws.next()).await;
        assert_eq!(frame.and_then(|frame| frame.code()), Some(1012));
        assert!(began.elapsed() >= DRAIN - Duration::from_secs(1), "closed before its drain time");
    }
    println!("all 200 got Close 1012 after {:?}", began.elapsed());
    drop(all);
    for ws in young {
        ws.leave().await;
    }
    assert_eq!(httpd.sessions_logged(240).await.len(), 240);
}
