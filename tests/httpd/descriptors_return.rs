//! Hundreds of sessions, ended in every way: nothing is left behind.

use crate::harness::*;

const CYCLES: usize = 300;

async fn cycle(httpd: &Httpd, n: usize) {
    let client = match n % 3 {
        0 => httpd.client(),
        1 => httpd.tls_client(Tls::V13),
        _ => httpd.tls_client(Tls::V12),
    };
    let path = if n % 5 == 4 { "/leaving" } else { "/echo" };
    let mut ws = client.upgrade(path).await;
    ws.send(TEXT, b"hello").await;
    assert_eq!(ws.frame().await.text(), "hello");
    match n % 5 {
        0 => ws.leave().await,
        1 => drop(ws),
        2 => ws.io.reset(),
        3 => {
            ws.fin().await;
            ws.rest(SOON).await;
        }
        _ => {
            ws.expect_close(1011).await;
            ws.close(1011, "").await;
            ws.expect_end().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn after_all_kinds_of_ends() {
    let echo = Upstream::echo().await;
    let leaving = Upstream::serve(|mut conn| async move {
        conn.accept().await;
        let frame = conn.ws.frame().await;
        conn.ws.send(TEXT, &frame.data).await;
    })
    .await;
    let conf = ws("/echo", &echo.url()) + &ws("/leaving", &leaving.url());
    let httpd = Httpd::with(conf).tls().room_for(30).start().await;
    httpd.log().allow("upstream");
    for n in 0..30 {
        cycle(&httpd, n).await;
    }
    let sockets = |up: &Upstream| up.open();
    let quiet = || sockets(&echo) + sockets(&leaving) == 0;
    eventually(SOON, "the upstreams are left", quiet).await;
    httpd.sessions_logged(30).await;
    tokio::time::sleep(ms(500)).await;
    let before = (httpd.children().len(), httpd.descriptors());

    let mut n = 0;
    while n < CYCLES {
        let batch = (n..n + 10).map(|n| cycle(&httpd, n));
        futures_util::future::join_all(batch).await;
        n += 10;
    }

    eventually(SOON, "the upstreams are left", quiet).await;
    httpd.sessions_logged(30 + CYCLES).await;
    // prefork may have started more children meanwhile: count per child.
    let per_child = before.1 / before.0;
    let most = || httpd.children().len() * (per_child + 2);
    let back = || httpd.descriptors() <= most();
    let what = format!("descriptors back to about {per_child} for each child");
    eventually(SOON, &what, back).await;
    if Mpm::of_this_run() == Mpm::Event {
        let mut open = String::new();
        for _ in 0..50 {
            open = httpd.status().await.get("ConnsTotal").cloned().unwrap_or_default();
            if open == "0" || open == "1" {
                break;
            }
            tokio::time::sleep(ms(100)).await;
        }
        assert!(open == "0" || open == "1", "{open} connections in mod_status");
    }
}

/// What event's connections need of memory is kept for the next ones up to a bound, and goes back to
/// the system beyond it.
#[tokio::test(flavor = "multi_thread")]
async fn memory_does_too() {
    if Mpm::of_this_run() != Mpm::Event {
        return;
    }
    let echo = Upstream::echo().await;
    let httpd = Httpd::with(ws("/echo", &echo.url())).start().await;
    let short = || async {
        let mut ws = httpd.client().upgrade("/echo").await;
        ws.close(1000, "").await;
        ws.expect_close(1000).await;
        ws.expect_end().await;
    };
    let mut after = Vec::new();
    for n in 1..=40 {
        futures_util::future::join_all((0..50).map(|_| short())).await;
        if n % 20 == 0 {
            httpd.sessions_logged(n * 50).await;
            after.push(httpd.memory());
        }
    }
    // One block of 8 KiB too much for each, with its first page used, would be 4 MB.
    let [first, last] = after[..] else { unreachable!() };
    assert!(last < first + (3 << 20), "{first} bytes after 1,000 sessions, {last} after 2,000");
}
