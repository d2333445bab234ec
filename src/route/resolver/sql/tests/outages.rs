//! Servers that stop, tables that change, passwords that are wrong.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;

use super::{Server, build, error, on_both, query, target};
use crate::route::resolver::sql::SqlConfig;
use crate::route::resolver::sql::testing::{MariaDb, Postgres, mariadb, postgres};
use crate::route::resolver::{ResolveError, Resolver};

on_both! {
    a_killed_connection_is_replaced
    an_altered_table_is_read_anew
    a_rotated_password_is_picked_up
    a_wrong_password_is_not_shown
}

const SELECT: &str = "SELECT host, port FROM d WHERE name = :key";
const TABLE: &str = "CREATE TABLE d (name varchar(9), host varchar(9), port int);
    INSERT INTO d VALUES ('alice', 'h', 1);";

fn found() -> Result<Option<String>, ResolveError> {
    Ok(Some("ws://h:1".into()))
}

/// Four questions at once, so that there are as many connections.
async fn four(d: &Arc<dyn Resolver>) -> Vec<Result<Option<String>, ResolveError>> {
    futures_util::future::join_all((0..4).map(|_| target(&**d, "alice"))).await
}

#[tokio::test]
async fn a_stopped_postgres_comes_back() {
    let mut server = Postgres::start();
    server.sql(TABLE);
    for url in [server.url(), server.socket_url()] {
        let d = build(&url, SELECT, &[]);
        assert_eq!(four(&d).await, [(); 4].map(|()| found()));
        server.stop();
        for _ in 0..5 {
            let begin = Instant::now();
            let said = error(&*d, "alice").await;
            assert!(said.starts_with("postgres ") && said.contains("os error"), "{said}");
            assert!(said.contains(&server.port().to_string()), "{said}");
            assert!(begin.elapsed() < Duration::from_secs(1));
        }
        server.start_again();
        assert_eq!(four(&d).await, [(); 4].map(|()| found()));
        // Down and up between two questions.
        server.stop();
        server.start_again();
        assert_eq!(four(&d).await, [(); 4].map(|()| found()));
    }
}

#[tokio::test]
async fn a_stopped_mariadb_comes_back() {
    let mut server = MariaDb::start();
    server.sql(TABLE);
    for (url, place) in [
        (server.url(), format!("mysql 127.0.0.1:{}/wsroute: ", server.port())),
        (server.socket_url(), format!("mysql {}: ", server.socket().display())),
    ] {
        let d = build(&url, SELECT, &[]);
        assert_eq!(four(&d).await, [(); 4].map(|()| found()));
        server.stop();
        for _ in 0..5 {
            let begin = Instant::now();
            let said = error(&*d, "alice").await;
            assert!(said.starts_with(&place) && said.contains("os error"), "{said}");
            assert!(begin.elapsed() < Duration::from_secs(1));
        }
        server.start_again();
        assert_eq!(four(&d).await, [(); 4].map(|()| found()));
        server.stop();
        server.start_again();
        assert_eq!(four(&d).await, [(); 4].map(|()| found()));
    }
}

/// A server that accepts and never says a word, as behind a firewall.
#[tokio::test]
async fn a_silent_server_is_late() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    for scheme in ["postgres", "mysql"] {
        let options = [("query", SELECT), ("pool", "1")];
        let config = SqlConfig::parse(&format!("{scheme}://u@127.0.0.1:{port}/d"), &options);
        let d = config.unwrap().build(Some(Duration::from_millis(300)));
        // One after the other, and some at once: a slot that leaked would be missed.
        for _ in 0..3 {
            let begin = Instant::now();
            assert_eq!(target(&*d, "alice").await, Err(ResolveError::Late));
            assert!(begin.elapsed() < Duration::from_secs(2));
        }
        assert_eq!(four(&d).await, [(); 4].map(|()| Err(ResolveError::Late)));
    }
}

async fn a_killed_connection_is_replaced(server: &impl Server) {
    server.sql(&TABLE.replace(" d ", " killed "));
    server.set_password("killed", "pw");
    let d = build(&server.url_of("killed:pw"), &SELECT.replace(" d ", " killed "), &[]);
    for _ in 0..3 {
        assert_eq!(four(&d).await, [(); 4].map(|()| found()));
        let connections = server.connections("killed");
        assert!(!connections.is_empty() && connections.len() <= 4);
        connections.iter().for_each(|connection| server.kill(connection));
        // Once without and once with the time to notice.
        assert_eq!(target(&*d, "alice").await, found());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn an_altered_table_is_read_anew(server: &impl Server) {
    server.sql(&TABLE.replace(" d ", " altered "));
    let d = build(&server.url(), "SELECT * FROM altered WHERE name = :key", &[]);
    assert_eq!(four(&d).await, [(); 4].map(|()| found()));
    for (change, expected) in [
        ("ADD COLUMN owner varchar(9) DEFAULT 'o'", "ws://h:1"),
        ("DROP COLUMN port", ""),
        ("ADD COLUMN port varchar(9) DEFAULT '2'", "ws://h:2"),
        ("DROP COLUMN host", ""),
        ("ADD COLUMN target varchar(9) DEFAULT 'x:3'", "ws://x:3"),
    ] {
        server.sql(&format!("ALTER TABLE altered {change}"));
        for got in four(&d).await {
            // A host without a port is malformed, a port without a host is no target.
            let got = got.unwrap_or_default().unwrap_or_default();
            assert_eq!(got, expected, "{change}");
        }
    }
    let row = d.resolve(query("alice")).await.unwrap().unwrap();
    assert_eq!(row.owner.as_deref(), Some("o"));
    server.sql(&format!("DROP TABLE altered; {}", TABLE.replace(" d ", " altered ")));
    assert_eq!(four(&d).await, [(); 4].map(|()| found()));
}

async fn a_rotated_password_is_picked_up(server: &impl Server) {
    server.sql(&TABLE.replace(" d ", " rotated "));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pw");
    let option = format!("file:{}", file.display());
    let select = SELECT.replace(" d ", " rotated ");
    let write = |text: &str| std::fs::write(Path::new(&file), text).unwrap();
    write("at start\n");
    server.set_password("rotated", "at start");
    let d = build(&server.url_of("rotated"), &select, &[("password", &option)]);

    // The child may not be able to read it: what httpd read at its start counts.
    std::fs::remove_file(&file).unwrap();
    assert_eq!(target(&*d, "alice").await, found());
    for password in ["first pass", "se:c@nd/?#"] {
        server.set_password("rotated", password);
        server.connections("rotated").iter().for_each(|connection| server.kill(connection));
        assert!(target(&*d, "alice").await.is_err());
        write(&format!("{password}\n"));
        assert_eq!(target(&*d, "alice").await, found());
    }
}

async fn a_wrong_password_is_not_shown(server: &impl Server) {
    server.set_password("wrong", "right");
    let locator = server.url_of("wrong:hunter2");
    let config = SqlConfig::parse(&locator, &[("query", SELECT)]).unwrap();
    let d = config.build(None);
    let said = error(&*d, "alice").await;
    assert!(said.contains("wrong") && said.contains("127.0.0.1:"), "{said}");
    assert!(!format!("{said} {config:?}").contains("hunter2"), "{said}");
}

#[tokio::test]
async fn passwords_may_have_any_character() {
    for (server, select) in [
        (postgres() as &dyn Server, "SELECT 'h' AS host, 1 AS port WHERE :key = 'alice'"),
        (mariadb() as &dyn Server, "SELECT 'h' AS host, 1 AS port WHERE :key = 'alice'"),
    ] {
        server.set_password("odd", "p@:/?#%ü");
        let d = build(&server.url_of("odd:p%40%3A%2F%3F%23%25%C3%BC"), select, &[]);
        assert_eq!(target(&*d, "alice").await, found());
    }
}
