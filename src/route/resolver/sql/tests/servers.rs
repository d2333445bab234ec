//! Questions and answers.

use std::time::{Duration, UNIX_EPOCH};

use super::{Server, build, error, on_both, query, target};
use crate::route::resolver::sql::testing::postgres;
use crate::route::resolver::{Query, ResolveError};

on_both! {
    rows_become_answers
    every_bind_is_bound
    the_database_is_not_written
    errors_name_the_server
}

/// Makes a table.
fn table(server: &impl Server, name: &str) {
    server.sql(&format!(
        "CREATE TABLE {name} (name varchar(99), host varchar(99), port int, owner varchar(9),
            state varchar(9), expires timestamp NULL, who text);
        INSERT INTO {name} VALUES
            ('alice', '10.0.0.5', 6901, 'alice', 'running', '2023-11-14 22:13:20', 'u'),
            ('new', '10.0.0.7', NULL, 'carl', 'creating', NULL, NULL),
            ('gone', NULL, NULL, NULL, NULL, NULL, NULL),
            ('two', 'a', 1, NULL, NULL, NULL, NULL),
            ('two', 'b', 2, NULL, NULL, NULL, NULL),
            ('bad', 'a b', 1, NULL, NULL, NULL, NULL),
            ('it''s', 'h', 1, NULL, NULL, NULL, NULL),
            ('grün', 'h', 2, NULL, NULL, NULL, NULL);"
    ));
}

async fn rows_become_answers(server: &impl Server) {
    table(server, "answers");
    for url in [server.url(), server.socket_url()] {
        let d = build(&url, "SELECT * FROM answers WHERE name = :key", &[]);
        let table = [
            ("alice", Some("ws://10.0.0.5:6901")),
            ("new", Some("none")),
            ("gone", None),
            ("two", Some("ws://a:1")),
            ("it's", Some("ws://h:1")),
            ("grün", Some("ws://h:2")),
            ("two", Some("ws://a:1")),
            ("unknown", None),
            ("", None),
            ("' OR '1'='1", None),
            ("\" OR \"1\"=\"1", None),
            ("alice' --", None),
            ("alice' #", None),
            ("alice'; DROP TABLE answers; --", None),
            ("x' UNION SELECT 'evil', 1 --", None),
            ("\\' OR 1=1 --", None),
            ("\\", None),
            ("$1", None),
            ("?", None),
            (":key", None),
            ("%", None),
            ("$$", None),
            ("/*", None),
            ("\u{1f600}", None),
        ];
        for (key, expected) in table {
            assert_eq!(target(&*d, key).await, Ok(expected.map(Into::into)), "{key}");
        }
        assert!(matches!(target(&*d, "bad").await, Err(ResolveError::Malformed(_))));
        let alice = d.resolve(query("alice")).await.unwrap().unwrap();
        assert_eq!((alice.owner.as_deref(), alice.is_running()), (Some("alice"), true));
        assert_eq!(alice.expires, Some(UNIX_EPOCH + Duration::from_secs(1_700_000_000)));
        let new = d.resolve(query("new")).await.unwrap().unwrap();
        assert_eq!(new.state.as_deref(), Some("creating"));
        // Never an answer: PostgreSQL refuses this byte, MariaDB finds nothing.
        assert!(!matches!(target(&*d, "alice\0").await, Ok(Some(_))));
        assert!(target(&*d, "alice").await.unwrap().is_some());
    }
}

async fn every_bind_is_bound(server: &impl Server) {
    table(server, "binds");
    let all = "SELECT concat(host, ':', port) AS target FROM binds WHERE name = :key \
               AND who = :user AND :host = 'host' AND :path = '/p' AND :client = '192.0.2.1' \
               AND :user = 'u' AND :key <> ':host'";
    let d = build(&server.url(), all, &[]);
    assert_eq!(target(&*d, "alice").await, Ok(Some("ws://10.0.0.5:6901".into())));
    let nobody = Query { user: None, ..query("alice") };
    assert_eq!(d.cache_key(&nobody)[..2], [Some("alice".into()), None]);
    assert_eq!(d.resolve(nobody).await, Ok(None));
    let by_user = build(&server.url(), "SELECT host, port FROM binds WHERE who = :user", &[]);
    assert_eq!(by_user.cache_key(&query("any")), [Some("u".into())]);
}

async fn the_database_is_not_written(server: &impl Server) {
    table(server, "unwritten");
    let d = build(&server.url(), "DELETE FROM unwritten WHERE name = :key", &[]);
    for _ in 0..2 {
        let said = error(&*d, "alice").await.to_lowercase();
        assert!(said.contains("read-only") || said.contains("read only"), "{said}");
    }
    let left = server.sql("SELECT count(*) FROM unwritten WHERE name = 'alice'");
    assert_eq!(left, "1\n");
}

async fn errors_name_the_server(server: &impl Server) {
    let port = server.url().rsplit_once(':').unwrap().1.to_owned();
    for (query, what) in [
        ("SELECT host, port FROM no_such_table WHERE name = :key", "no_such_table"),
        ("SELEKT :key", "syntax"),
        ("SELECT host FROM (SELECT 'h' AS hosts) AS x WHERE hosts = :key", "host"),
    ] {
        let d = build(&server.url(), query, &[]);
        let said = error(&*d, "alice").await;
        assert!(said.contains(&format!("127.0.0.1:{port}: ")), "{said}");
        assert!(said.contains(what) && !said.contains('\n'), "{said}");
    }
}

#[tokio::test]
async fn what_postgres_does_not_compare_with_text() {
    let server = postgres();
    server.sql(
        "CREATE TABLE compared (id int, ref uuid, net inet, host text, port int);
        INSERT INTO compared VALUES
            (7, '6f9619ff-8b86-d011-b42d-00c04fc964ff', '192.0.2.0/24', 'h', 1)",
    );
    let ask = |condition: &str| {
        build(&server.url(), &format!("SELECT host, port FROM compared WHERE {condition}"), &[])
    };
    for (condition, key, expected) in [
        ("id::text = :key", "7", Some("ws://h:1")),
        ("id::text = :key", "seven", None),
        ("id = :key::int", "7", Some("ws://h:1")),
        ("id = CAST(:key AS int)", "8", None),
        ("ref = :key::uuid", "6F9619FF-8B86-D011-B42D-00C04FC964FF", Some("ws://h:1")),
        (":key = '' AND :client::inet << net", "", Some("ws://h:1")),
        ("host = any(string_to_array(:key, ','))", "g,h", Some("ws://h:1")),
    ] {
        let d = ask(condition);
        assert_eq!(target(&*d, key).await, Ok(expected.map(Into::into)), "{condition}");
    }
    for (condition, key, what) in [
        ("id = :key", "7", "operator does not exist: integer = text (binds are text"),
        ("ref = :key", "7", "operator does not exist: uuid = text (binds are text"),
        ("id = :key::int", "seven", "integer: \"seven\" (binds are text"),
        ("id = :key::int", "99999999999", "out of range for type integer (binds are text"),
    ] {
        let d = ask(condition);
        let said = error(&*d, key).await;
        assert!(said.contains(what), "{said}");
        assert!(said.ends_with("compare texts: id::text = :key)"), "{said}");
    }
}
