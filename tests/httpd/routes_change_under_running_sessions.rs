//! A thousand rows change: nobody who is connected notices, and nobody reloads anything.

use crate::harness::databases::Postgres;
use crate::harness::*;
use futures_util::StreamExt;
use std::time::Instant;

const ROUTES: usize = 1_000;

fn sessions() -> usize {
    match Mpm::of_this_run() {
        Mpm::Event => 500,
        Mpm::Worker => 300,
        // Each process has a connection to the database, which takes a hundred.
        Mpm::Prefork => 40,
    }
}

/// Sessions for the first `n` keys; each says who it is.
async fn open(client: &Client, n: usize) -> Vec<(Ws, String)> {
    let one = |i: usize| async move {
        let mut ws = client.upgrade(&format!("/desktop/k{i}/websockify")).await;
        let name = ws.frame().await.text();
        (ws, name)
    };
    futures_util::stream::iter(0..n).map(one).buffer_unordered(16).collect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_notices() {
    let (old, new) = (Upstream::named("old").await, Upstream::named("new").await);
    let db = Postgres::start();
    db.sql(&format!(
        "CREATE TABLE desktops (name text PRIMARY KEY, host text, port int, id text);
         INSERT INTO desktops SELECT 'k' || i, '127.0.0.1', {}, 'old' || i
             FROM generate_series(0, {ROUTES} - 1) AS i",
        old.address.port()
    ));
    let conf = format!(
        "WsRouteResolver desktops sql {} query=\"SELECT host, port FROM desktops WHERE \
         name = :key\" ttl=500ms pool=2\n",
        db.url()
    ) + &location("/desktop", "WsRoute desktops\nWsRouteKey path \"^/desktop/([^/]+)\"");
    let n = sessions();
    let httpd = Httpd::with(conf).room_for(n + 40).start().await;
    let client = httpd.client();
    let begin = Instant::now();
    let mut all = open(&client, n).await;
    println!("{n} sessions after {:?}", begin.elapsed());
    assert!(all.iter().all(|(_, name)| name == "old"));
    assert_eq!(old.open(), n);
    let children = httpd.children();

    db.sql(&format!("UPDATE desktops SET port = {}, id = 'new' || name", new.address.port()));
    for (ws, _) in &mut all {
        ws.echo("undisturbed").await;
    }
    tokio::time::sleep(ms(600)).await;
    let moved = open(&client, 30).await;
    assert!(moved.iter().all(|(_, name)| name == "new"), "a new session at the old place");
    // Rows that nobody has asked for yet, and one that goes.
    let mut ws = client.upgrade(&format!("/desktop/k{}/websockify", ROUTES - 1)).await;
    assert_eq!(ws.frame().await.text(), "new");
    db.sql("DELETE FROM desktops WHERE name = 'k0'");
    tokio::time::sleep(ms(600)).await;
    client.refused("/desktop/k0/websockify", 404).await;
    httpd.log().expect(words::UNKNOWN_KEY).await;

    for (ws, _) in &mut all {
        ws.echo("still undisturbed").await;
    }
    assert_eq!(old.open(), n);
    assert_eq!(httpd.log().count("resuming normal operations"), 1, "it was restarted");
    let left = httpd.children();
    assert!(children.iter().all(|child| left.contains(child)), "a child has gone");
}
