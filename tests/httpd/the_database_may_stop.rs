//! The database is away, or hangs: what runs goes on, what was known serves for a while, the rest
//! is told in time. Nobody restarts httpd afterwards.

use crate::harness::databases::Postgres;
use crate::harness::*;
use crate::never_the_wrong_container::start_with_one_child;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A server with desktops at `up`; `options` for its resolver.
fn database(up: &Upstream, options: &str) -> (Postgres, String) {
    let db = Postgres::start();
    db.sql(&format!(
        "CREATE TABLE desktops (name text PRIMARY KEY, host text, port int);
         INSERT INTO desktops SELECT 'k' || i, '127.0.0.1', {} FROM generate_series(0, 99) AS i",
        up.address.port()
    ));
    let conf = resolver(&db.url(), options);
    (db, conf)
}

fn resolver(url: &str, options: &str) -> String {
    format!(
        "WsRouteResolver desktops sql {url} query=\"SELECT host, port FROM desktops WHERE \
         name = :key\" {options}\n"
    ) + &location("/ws", "WsRoute desktops\nWsRouteKey query:k")
}

#[tokio::test(flavor = "multi_thread")]
async fn away_and_back() {
    if Mpm::of_this_run() == Mpm::Prefork {
        println!("nothing to do on Prefork: a process has one session, and a cache of its own");
        return;
    }
    let up = Upstream::echo().await;
    let (mut db, conf) = database(&up, "ttl=300ms negative=100ms stale=3s timeout=1s");
    let httpd = start_with_one_child(Httpd::with(conf)).await;
    httpd.log().allow("resolver-");
    let client = httpd.client();
    let mut session = client.upgrade("/ws?k=k0").await;
    session.echo("before").await;
    let known = Instant::now();
    db.stop();

    // Known: the stale answer. Unknown: a quick no.
    tokio::time::sleep(ms(400)).await;
    for _ in 0..3 {
        client.upgrade("/ws?k=k0").await.leave().await;
    }
    let asked = Instant::now();
    client.refused("/ws?k=k1", 502).await;
    assert!(asked.elapsed() < ms(1_500), "{:?}", asked.elapsed());
    session.echo("meanwhile").await;
    let left = ms(3_600).saturating_sub(known.elapsed());
    tokio::time::sleep(left).await;
    client.refused("/ws?k=k0", 502).await;
    session.echo("still").await;

    db.start_again();
    // Errors are not remembered.
    client.upgrade("/ws?k=k0").await.leave().await;
    client.upgrade("/ws?k=k1").await.leave().await;
    session.echo("after").await;
    session.leave().await;
    assert_eq!(httpd.log().count("resuming normal operations"), 1);
}

/// A table that is locked: the database accepts questions, and does not answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_locked() {
    let up = Upstream::echo().await;
    let (db, conf) = database(&up, "ttl=300ms stale=off timeout=1s");
    let httpd = Httpd::with(conf).start().await;
    httpd.log().allow("resolver-late");
    let client = httpd.client();
    client.upgrade("/ws?k=k0").await.leave().await;
    let db = Arc::new(db);
    let locking = Arc::clone(&db);
    let locked = std::thread::spawn(move || {
        locking.sql("BEGIN; LOCK TABLE desktops; SELECT pg_sleep(5); COMMIT;");
    });
    tokio::time::sleep(ms(700)).await;
    // More than there are connections in the pool.
    let asked = Instant::now();
    let paths: Vec<String> = (0..12).map(|i| format!("/ws?k=k{i}")).collect();
    join_all(paths.iter().map(|path| client.refused(path, 504))).await;
    assert!((ms(900)..ms(2_500)).contains(&asked.elapsed()), "{:?}", asked.elapsed());
    // The server, too, has given up what nobody waits for: it does not fill up with questions.
    let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'";
    eventually(ms(2_000), "the end of the questions", || db.sql(waiting).trim() == "0").await;
    assert!(!locked.is_finished(), "the machine is too slow for this test");
    locked.join().expect("the lock");
    join_all(paths.iter().map(|path| async { client.upgrade(path).await.leave().await })).await;
}

/// A database that accepts connections and says nothing, as behind a firewall.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_wait_and_nobody_else() {
    let up = Upstream::echo().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = silent.local_addr().expect("its number").port();
    let held = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Ok((connection, _)) = silent.accept().await {
            all.push(connection);
        }
    });
    let conf = resolver(&format!("postgres://u@127.0.0.1:{port}/d"), "timeout=2s")
        + "WsRouteResolver other file \"${ROOT}/routes\"\n"
        + &location("/other", "WsRoute other\nWsRouteKey query:k");
    let httpd = Httpd::with(conf)
        .file("routes", format!("alice {}\n", up.address))
        .tls()
        .room_for(70)
        .start()
        .await;
    httpd.log().allow("resolver-late");
    let client = httpd.client();
    let asked = Instant::now();
    let waiting: Vec<_> = (0..50)
        .map(|i| {
            let client = client.clone();
            tokio::spawn(async move { client.refused(&format!("/ws?k=k{i}"), 504).await })
        })
        .collect();
    tokio::time::sleep(ms(400)).await;
    assert!(waiting.iter().all(|w| !w.is_finished()), "they do not wait");
    let fast = Instant::now();
    for _ in 0..20 {
        assert_eq!(client.get("/index.html").await.status, 200);
    }
    assert!(fast.elapsed() < ms(1_000), "plain HTTP: {:?}", fast.elapsed());
    // Another resolver, here and in another virtual host.
    for (how, client) in httpd.clients() {
        let fast = Instant::now();
        for _ in 0..5 {
            client.upgrade("/other?k=alice").await.leave().await;
        }
        assert!(fast.elapsed() < ms(1_000), "{how}: {:?}", fast.elapsed());
    }
    for session in waiting {
        session.await.expect("504");
    }
    let late = asked.elapsed();
    assert!((ms(1_900)..Duration::from_secs(5)).contains(&late), "{late:?}");
    held.abort();
}
