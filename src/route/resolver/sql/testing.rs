//! Database servers for the tests of the crate, each kind started once for all of them.

use std::sync::OnceLock;

#[allow(dead_code, reason = "shared with tests/harness; not every word is used here")]
#[path = "../../../../tests/harness/databases/mod.rs"]
mod databases;

pub(crate) use databases::{MariaDb, Postgres, Redis};

/// The PostgreSQL that all tests share. A test that stops it starts its own.
pub(crate) fn postgres() -> &'static Postgres {
    static SERVER: OnceLock<Postgres> = OnceLock::new();
    SERVER.get_or_init(Postgres::start)
}

/// The MariaDB that all tests share.
pub(crate) fn mariadb() -> &'static MariaDb {
    static SERVER: OnceLock<MariaDb> = OnceLock::new();
    SERVER.get_or_init(MariaDb::start)
}

/// The Redis that all tests share.
pub(crate) fn redis() -> &'static Redis {
    static SERVER: OnceLock<Redis> = OnceLock::new();
    SERVER.get_or_init(Redis::start)
}

#[test]
fn redis_keeps_its_word() {
    redis().command(&["SET", "testing", "here"]);
    assert_eq!(redis().command(&["GET", "testing"]), "here");
    let mut own = Redis::start();
    own.command(&["SET", "testing", "here"]);
    own.stop();
    own.start_again();
    assert_eq!(own.command(&["EXISTS", "testing"]), "0");
    assert!(own.url().ends_with(&own.port().to_string()) && own.socket().exists());
}
