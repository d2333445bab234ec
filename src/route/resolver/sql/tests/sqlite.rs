//! A SQLite file.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{build, query, target};
use crate::route::resolver::sql::SqlConfig;
use crate::route::resolver::{Query, ResolveError, Resolver};

const TABLE: &str = "
    CREATE TABLE d (name TEXT, host TEXT, port, owner TEXT, state TEXT, expires, who TEXT);
    INSERT INTO d VALUES ('alice', '10.0.0.5', 6901, 'alice', 'running', 1700000000, 'u');
    INSERT INTO d VALUES ('bob', '10.0.0.6', '6902', NULL, NULL, 1700000000.5, NULL);
    INSERT INTO d VALUES ('real', '10.0.0.6', 6902.0, NULL, NULL, NULL, NULL);
    INSERT INTO d VALUES ('new', '10.0.0.7', NULL, 'carl', 'creating', NULL, NULL);
    INSERT INTO d VALUES ('gone', NULL, NULL, NULL, NULL, NULL, NULL);
    INSERT INTO d VALUES ('two', 'a', 1, NULL, NULL, NULL, NULL);
    INSERT INTO d VALUES ('two', 'b', 2, NULL, NULL, NULL, NULL);
    INSERT INTO d VALUES ('bad', 'a b', 1, NULL, NULL, NULL, NULL);
    INSERT INTO d VALUES ('blob', x'68', 1, NULL, NULL, NULL, NULL);
    INSERT INTO d VALUES ('it''s', 'h', 1, NULL, NULL, NULL, NULL);";

async fn execute(path: &Path, sql: &str) {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

fn resolver(path: &Path, query: &str) -> Arc<dyn Resolver> {
    build(&format!("sqlite:{}", path.display()), query, &[("pool", "2")])
}

#[tokio::test]
async fn rows_become_answers() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.db");
    execute(&path, TABLE).await;
    let d = resolver(&path, "SELECT * FROM d WHERE name = :key");
    let table = [
        ("alice", Some("ws://10.0.0.5:6901")),
        ("bob", Some("ws://10.0.0.6:6902")),
        ("real", Some("ws://10.0.0.6:6902")),
        ("new", Some("none")),
        ("gone", None),
        ("two", Some("ws://a:1")),
        ("blob", Some("ws://h:1")),
        ("it's", Some("ws://h:1")),
        ("unknown", None),
        ("ALICE", None),
        ("' OR '1'='1", None),
        ("alice' --", None),
        ("alice'; DROP TABLE d; --", None),
        ("x' UNION SELECT 'evil', 1 --", None),
        ("\\' OR 1=1 --", None),
        ("%", None),
        ("?1", None),
        (":key", None),
    ];
    for (key, expected) in table {
        assert_eq!(target(&*d, key).await, Ok(expected.map(Into::into)), "{key}");
    }
    assert!(matches!(target(&*d, "bad").await, Err(ResolveError::Malformed(_))));
    let alice = d.resolve(query("alice")).await.unwrap().unwrap();
    assert_eq!(alice.owner.as_deref(), Some("alice"));
    let seconds =
        |t: std::time::SystemTime| t.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    assert_eq!(alice.expires.map(seconds), Some(1_700_000_000.0));
    let bob = d.resolve(query("bob")).await.unwrap().unwrap();
    assert_eq!(bob.expires.map(seconds), Some(1_700_000_000.5));
    // Still there after all these keys.
    assert!(target(&*d, "alice").await.unwrap().is_some());
}

#[tokio::test]
async fn every_bind_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.db");
    execute(&path, TABLE).await;
    let d = resolver(
        &path,
        "SELECT host || ':' || port AS target FROM d WHERE name = :key AND who = :user \
         AND :host = 'host' AND :path = '/p' AND :client = '192.0.2.1' -- :nothing",
    );
    assert_eq!(target(&*d, "alice").await, Ok(Some("ws://10.0.0.5:6901".into())));
    let nobody = Query { user: None, ..query("alice") };
    assert_eq!(d.cache_key(&nobody)[..2], [Some("alice".into()), None]);
    assert_eq!(d.resolve(nobody).await, Ok(None));
    let by_user = resolver(&path, "SELECT host, port FROM d WHERE who = :user");
    assert_eq!(by_user.cache_key(&query("any")), [Some("u".into())]);
}

#[tokio::test]
async fn errors_name_the_file_and_heal() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.db");
    let d = resolver(&path, "SELECT host, port FROM d WHERE name = :key");

    let missing = target(&*d, "alice").await.unwrap_err().to_string();
    assert!(missing.starts_with(&format!("cannot open {}", path.display())), "{missing}");
    assert!(!path.exists());

    std::fs::write(&path, "no database at all, but long enough to be read as one").unwrap();
    assert!(matches!(target(&*d, "alice").await, Err(ResolveError::Failed(_))));
    std::fs::remove_file(&path).unwrap();

    execute(&path, "CREATE TABLE other (x)").await;
    let no_table = target(&*d, "alice").await.unwrap_err().to_string();
    assert!(no_table.ends_with("no such table: d"), "{no_table}");

    execute(&path, TABLE).await;
    assert!(target(&*d, "alice").await.unwrap().is_some());
    execute(&path, "ALTER TABLE d ADD COLUMN y; UPDATE d SET port = 7000").await;
    assert_eq!(target(&*d, "alice").await, Ok(Some("ws://10.0.0.5:7000".into())));

    // Another file put in its place.
    let new = dir.path().join("new.db");
    execute(&new, TABLE).await;
    std::fs::rename(&new, &path).unwrap();
    assert_eq!(target(&*d, "alice").await, Ok(Some("ws://10.0.0.5:6901".into())));
}

#[tokio::test]
async fn a_lock_or_a_cancelled_question_does_not_last() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.db");
    execute(&path, TABLE).await;
    let options = [("query", "SELECT host, port FROM d WHERE name = :key")];
    let config = SqlConfig::parse(&format!("sqlite:{}", path.display()), &options).unwrap();
    let d = config.build(Some(Duration::from_millis(500)));
    let mut writer = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut writer).await.unwrap();
    let locked = target(&*d, "alice").await.unwrap_err().to_string();
    assert!(locked.ends_with("database is locked"), "{locked}");
    sqlx::raw_sql("COMMIT").execute(&mut writer).await.unwrap();
    for delay in 0..50 {
        let deadline = Duration::from_micros(delay * 20);
        let _ = tokio::time::timeout(deadline, target(&*d, "alice")).await;
    }
    assert_eq!(target(&*d, "alice").await, Ok(Some("ws://10.0.0.5:6901".into())));
}

#[tokio::test]
async fn the_database_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("d.db");
    execute(&path, TABLE).await;
    let d = resolver(&path, "DELETE FROM d WHERE name = :key");
    let error = target(&*d, "alice").await.unwrap_err().to_string();
    assert!(error.contains("readonly"), "{error}");
}
