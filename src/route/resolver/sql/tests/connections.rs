//! Who uses a connection when.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Server, build, on_both, query, target};
use crate::route::resolver::sql::SqlConfig;
use crate::route::resolver::{ResolveError, Resolver};

on_both! {
    a_thousand_keys_share_four_connections
    a_cancelled_question_spoils_nothing
    a_late_question_ends_on_the_server_too
    a_busy_thread_holds_up_no_other
    the_end_closes_every_connection
}

/// `count` keys, `k7` with the port 7.
fn numbered(server: &impl Server, name: &str, count: u16) {
    let rows: Vec<_> = (1..=count).map(|n| format!("('k{n}', 'h', {n})")).collect();
    server.sql(&format!(
        "CREATE TABLE {name} (name varchar(9), host text, port int);
        INSERT INTO {name} VALUES {};",
        rows.join(", ")
    ));
}

/// The answer of `k7` is the port 7.
async fn ask_number(d: &dyn Resolver, n: u16) -> Result<(), ResolveError> {
    let got = target(d, &format!("k{n}")).await?;
    assert_eq!(got, Some(format!("ws://h:{n}")));
    Ok(())
}

/// A resolver for a user of this test, so that its connections can be counted.
fn counted(
    server: &impl Server,
    user: &str,
    query: &str,
    pool: &str,
    limit: Duration,
) -> Arc<dyn Resolver> {
    server.set_password(user, "pw");
    let url = server.url_of(&format!("{user}:pw"));
    SqlConfig::parse(&url, &[("query", query), ("pool", pool)]).unwrap().build(Some(limit))
}

const LONG: Duration = Duration::from_secs(20);

async fn a_thousand_keys_share_four_connections(server: &impl Server) {
    numbered(server, "thousand", 1000);
    let select = "SELECT host, port FROM thousand WHERE name = :key";
    let d = counted(server, "thousand", select, "4", LONG);
    let asks = (1..=1000).map(|n| {
        let d = Arc::clone(&d);
        tokio::spawn(async move { ask_number(&*d, n).await })
    });
    for ask in asks.collect::<Vec<_>>() {
        ask.await.unwrap().unwrap();
    }
    assert_eq!(server.connections("thousand").len(), 4);
}

async fn a_cancelled_question_spoils_nothing(server: &impl Server) {
    numbered(server, "cancelled", 300);
    let select = "SELECT host, port FROM cancelled WHERE name = :key";
    let d = counted(server, "cancelled", select, "2", LONG);
    for n in 1..=300_u16 {
        let deadline = Duration::from_micros(u64::from(n) * 10);
        let given_up = (n + 1) % 300 + 1;
        let _ = tokio::time::timeout(deadline, ask_number(&*d, given_up)).await;
        ask_number(&*d, n).await.unwrap();
    }
    assert!(server.connections("cancelled").len() <= 2);
}

async fn a_late_question_ends_on_the_server_too<S: Server>(server: &S) {
    numbered(server, "late", 2);
    let limit = Duration::from_millis(500);
    let select = format!(
        "SELECT host, port FROM late WHERE name = :key AND (name <> 'k1' OR {})",
        S::sleep(30.0)
    );
    let d = counted(server, "late", &select, "1", limit);
    for _ in 0..2 {
        let begin = Instant::now();
        assert_eq!(target(&*d, "k1").await, Err(ResolveError::Late));
        assert!(begin.elapsed() < Duration::from_secs(2));
        ask_number(&*d, 2).await.unwrap();
    }
    let until = Instant::now() + Duration::from_secs(10);
    while server.connections("late").len() > 1 {
        assert!(Instant::now() < until, "the server still works for nobody");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn a_busy_thread_holds_up_no_other(server: &impl Server) {
    numbered(server, "busy", 2);
    let d = build(&server.url(), "SELECT host, port FROM busy WHERE name = :key", &[("pool", "1")]);
    let (first, asked) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let busy = std::thread::spawn({
        let d = Arc::clone(&d);
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                ask_number(&*d, 1).await.unwrap();
                // A question under way, and nobody to drive it.
                let question = d.resolve(query("k2"));
                first.send(()).unwrap();
                released.recv().unwrap();
                assert!(question.await.unwrap().is_some());
            });
        }
    });
    asked.recv().unwrap();
    let begin = Instant::now();
    ask_number(&*d, 2).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1));
    release.send(()).unwrap();
    busy.join().unwrap();
}

async fn the_end_closes_every_connection(server: &impl Server) {
    numbered(server, "ended", 1);
    let d = counted(server, "ended", "SELECT host, port FROM ended WHERE name = :key", "3", LONG);
    let asks: Vec<_> = (0..3).map(|_| ask_number(&*d, 1)).collect();
    for asked in futures_util::future::join_all(asks).await {
        asked.unwrap();
    }
    assert!(!server.connections("ended").is_empty());
    drop(d);
    let until = Instant::now() + Duration::from_secs(5);
    while !server.connections("ended").is_empty() {
        assert!(Instant::now() < until, "connections without an owner");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
