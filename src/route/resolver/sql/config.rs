//! `sql LOCATOR query="..." [pool=N] [password=file:PATH]`, as far as it is not every resolver's.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::mysql::MySql;
use super::postgres::Postgres;
use super::server::{PasswordFile, Server};
use super::sqlite::SqliteFile;
use super::{Database, SqlResolver};
use crate::route::resolver::Resolver;
use crate::route::resolver::bind::{BoundQuery, Dialect};

/// When a question is given up although `timeout=off`: it would hold its connection for ever.
const LIMIT: Duration = Duration::from_secs(30);

/// A `sql` resolver as configured. `Debug` shows no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SqlConfig {
    place: Place,
    query: BoundQuery,
    /// Connections in each child at most.
    connections: u32,
}

/// What the locator names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Place {
    Sqlite(PathBuf),
    Postgres(Server),
    MySql(Server),
}

impl SqlConfig {
    /// Parses the locator, and the options that not every resolver takes.
    ///
    /// # Errors
    /// What is wrong and what to write, as one line. No part of a locator that may hold a
    /// password is shown.
    pub fn parse(locator: &str, options: &[(&str, &str)]) -> Result<SqlConfig, String> {
        let dialect = dialect(locator)?;
        let (mut query, mut connections, mut password) = (None, 4, None);
        for &(option, value) in options {
            match option {
                "query" => query = Some(BoundQuery::parse(value, dialect)?),
                "pool" => {
                    let number = value.parse().ok().filter(|n| (1..=1000).contains(n));
                    connections = number.ok_or_else(|| format!("pool={value:?}, use 1 to 1000"))?;
                }
                "password" => {
                    let path = value.strip_prefix("file:").filter(|path| path.starts_with('/'));
                    let path = path.ok_or("password= is no file, use password=file:/path")?;
                    password = Some(PasswordFile::read(path)?);
                }
                _ => {
                    return Err(format!(
                        "unknown option {option:?}, use query, pool, password, ttl, negative, \
                         stale or timeout"
                    ));
                }
            }
        }
        let place = match dialect {
            Dialect::Sqlite if password.is_some() => {
                return Err("sqlite has no password, use password= with postgres or mysql".into());
            }
            Dialect::Sqlite => Place::Sqlite(sqlite_path(locator)?),
            Dialect::Postgres => Place::Postgres(Server::parse(locator, dialect, password)?),
            Dialect::MySql => Place::MySql(Server::parse(locator, dialect, password)?),
        };
        let query = query.ok_or("no query, use query=\"SELECT host, port FROM ... = :key\"")?;
        Ok(SqlConfig { place, query, connections })
    }

    /// Makes the resolver. Nothing is opened before the first question, which is given up after
    /// `timeout`; without one after 30 seconds.
    pub fn build(&self, timeout: Option<Duration>) -> Arc<dyn Resolver> {
        let limit = timeout.unwrap_or(LIMIT);
        let query = self.query.clone();
        match &self.place {
            Place::Sqlite(path) => {
                // Less than the limit: "database is locked" says more than being late.
                let wait = limit.mul_f32(0.9);
                self.resolver(SqliteFile { path: path.clone(), query, wait }, limit)
            }
            Place::Postgres(server) => {
                self.resolver(Postgres { server: server.clone(), query, limit }, limit)
            }
            Place::MySql(server) => {
                self.resolver(MySql { server: server.clone(), query, limit }, limit)
            }
        }
    }

    fn resolver<D: Database>(&self, database: D, limit: Duration) -> Arc<dyn Resolver> {
        Arc::new(SqlResolver::new(database, self.connections, limit))
    }
}

fn dialect(locator: &str) -> Result<Dialect, String> {
    let known = "sqlite:/path, postgres://user@host/database or mysql://user@host/database";
    let Some((scheme, _)) = locator.split_once(':') else {
        return Err(format!("the locator is no database, use {known}"));
    };
    match scheme.to_ascii_lowercase().as_str() {
        "sqlite" => Ok(Dialect::Sqlite),
        "postgres" | "postgresql" => Ok(Dialect::Postgres),
        "mysql" | "mariadb" => Ok(Dialect::MySql),
        // The locator may hold a password: only the scheme is shown.
        _ => Err(format!("unknown database {scheme:?}, use {known}")),
    }
}

fn sqlite_path(locator: &str) -> Result<PathBuf, String> {
    let path = locator.split_once(':').map_or("", |(_, path)| path);
    let path = if path.starts_with("///") { &path[2..] } else { path };
    match path.starts_with('/') && !path.starts_with("//") {
        true => Ok(path.into()),
        false => Err(format!("database {locator:?} is relative, use an absolute path")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn databases() {
        let query = ("query", "SELECT host, port FROM d WHERE name = :key");
        for (locator, place, sql) in [
            ("sqlite:/d.db", "Sqlite(\"/d.db\")", "?1"),
            ("SQLite:///d.db", "Sqlite(\"/d.db\")", "?1"),
            ("postgres://u:hunter2@db:6432/d", "postgres db:6432/d", "$1"),
            ("postgresql://u@[::1]/d", "postgres [::1]:5432/d", "$1"),
            ("postgres://u:p%40hunter2@db/d?sslmode=require", "postgres db:5432/d", "$1"),
            ("postgres:///d?host=/run/pg&user=u&password=hunter2", "postgres /run/pg:5432/d", "$1"),
            ("mysql://u:hunter2@db/d", "mysql db:3306/d", "?"),
            ("mariadb://u:hunter2@db", "mysql db:3306", "?"),
            ("mysql://u@localhost/d?socket=/run/my.sock", "mysql /run/my.sock", "?"),
        ] {
            let config = SqlConfig::parse(locator, &[query, ("pool", "7")]).unwrap();
            let shown = format!("{config:?}");
            assert!(shown.contains(place) && !shown.contains("hunter2"), "{shown}");
            assert_eq!(config.query.sql, format!("SELECT host, port FROM d WHERE name = {sql}"));
            assert_eq!(config.connections, 7);
        }
        let file = ("password", "file:/etc/hostname");
        assert!(SqlConfig::parse("mysql://u@db/d", &[query, file]).is_ok());
    }

    #[test]
    fn bad_databases() {
        let q = ("query", ":key");
        let file = ("password", "file:/etc/hostname");
        type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a str);
        let table: &[Case] = &[
            ("sqlite:/d", &[], "no query, use query="),
            ("sqlite:d", &[q], "use an absolute path"),
            ("sqlite://d", &[q], "use an absolute path"),
            ("/d", &[q], "no database, use sqlite:/path"),
            ("oracle:hunter2", &[q], "unknown database \"oracle\", use sqlite:/path"),
            ("sqlite:/d", &[("query", ":x")], "unknown bind :x"),
            ("mysql://u@h", &[("query", ":key = ?")], "query= has a '?'"),
            ("sqlite:/d", &[q, ("pool", "0")], "use 1 to 1000"),
            ("sqlite:/d", &[q, ("size", "1")], "unknown option \"size\", use query"),
            ("sqlite:/d", &[q, file], "sqlite has no password"),
            ("mysql://u@h", &[q, ("password", "hunter2")], "use password=file:/path"),
            ("mysql://u@h", &[q, ("password", "file:pw")], "use password=file:/path"),
            ("mysql://u:hunter2@h", &[q, file], "two passwords"),
            ("postgres:///d?user=u&password=hunter2", &[q, file], "two passwords"),
            ("postgres:hunter2", &[q], "use postgres://user@host/database"),
            ("mysql:/hunter2", &[q], "use mysql://user@host/database"),
            ("postgres://u@/d", &[q], "bad locator (empty host), use postgres://"),
            ("postgres://u@h:port/d", &[q], "bad locator (invalid port number)"),
            ("postgres://u@h/d?sslmode=on", &[q], "unknown value \"on\" for `ssl_mode`"),
            ("postgres://u@h/d?sslmod=require", &[q], "unknown parameter \"sslmod\""),
            ("postgres://u@h/d?connect_timeout=1", &[q], "use [\"host\", \"hostaddr\""),
            ("mysql://u@h/d?charset=latin1", &[q], "unknown parameter \"charset\""),
            ("mysql://u@h/d?timezone=x", &[q], "use [\"socket\", \"ssl-mode\""),
            ("postgres://u@h/d?sslrootcert=ca.pem", &[q], "use sslrootcert=/path"),
            ("mysql://u@h/d?ssl-ca=ca.pem", &[q], "ssl-ca= is no absolute path"),
            ("postgres://a,b/d", &[q], "several hosts in the locator, use one"),
            ("postgres://u@a,b/d", &[q], "several hosts in the locator, use one"),
            // A password that is not encoded ends up as host, port, path or parameter.
            ("postgres://u:12#hunter2@h/d", &[q], "in a wrong place"),
            ("postgres://u:12?hunter2@h/d", &[q], "in a wrong place"),
            ("postgres://u:12/hunter2@h/d", &[q], "in a wrong place"),
            ("postgres://u@h/d#x", &[q], "%23 for #"),
        ];
        for (locator, options, text) in table {
            let error = SqlConfig::parse(locator, options).unwrap_err();
            assert!(error.contains(text), "{locator} {options:?}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
