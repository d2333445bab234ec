//! The resolver on real databases.

use std::sync::Arc;
use std::time::Duration;

use super::SqlConfig;
use super::testing::{MariaDb, Postgres};
use crate::route::resolver::{Query, ResolveError, Resolver};

mod connections;
mod outages;
mod servers;
mod sqlite;
mod tls;
mod types;

/// Runs each test on the PostgreSQL and on the MariaDB that all tests share.
macro_rules! on_both {
    ($($test:ident)*) => {
        mod on_postgres {
            $(#[tokio::test] async fn $test() {
                super::$test(crate::route::resolver::sql::testing::postgres()).await;
            })*
        }
        mod on_mariadb {
            $(#[tokio::test] async fn $test() {
                super::$test(crate::route::resolver::sql::testing::mariadb()).await;
            })*
        }
    };
}
use on_both;

/// What the tests ask of either server.
trait Server: Sync {
    fn url(&self) -> String;
    fn socket_url(&self) -> String;
    fn sql(&self, statements: &str) -> String;
    /// The URL for another user, without a password.
    fn url_of(&self, user: &str) -> String;
    /// Makes a user with a password, who may read everything; or gives him a new one.
    fn set_password(&self, user: &str, password: &str);
    /// The connections of a user, one a line.
    fn connections(&self, user: &str) -> Vec<String>;
    /// Ends a connection.
    fn kill(&self, connection: &str);
    /// An expression that takes so many seconds.
    fn sleep(seconds: f32) -> String
    where
        Self: Sized;
}

impl Server for Postgres {
    fn url(&self) -> String {
        Postgres::url(self)
    }

    fn socket_url(&self) -> String {
        Postgres::socket_url(self)
    }

    fn sql(&self, statements: &str) -> String {
        Postgres::sql(self, statements)
    }

    fn url_of(&self, user: &str) -> String {
        Postgres::url(self).replace("wsroute@", &format!("{user}@"))
    }

    fn set_password(&self, user: &str, password: &str) {
        let known = self.sql(&format!("SELECT 1 FROM pg_roles WHERE rolname = '{user}'"));
        let verb = if known.is_empty() { "CREATE" } else { "ALTER" };
        self.sql(&format!(
            "{verb} ROLE {user} LOGIN PASSWORD '{password}'; GRANT pg_read_all_data TO {user}"
        ));
    }

    fn connections(&self, user: &str) -> Vec<String> {
        let pids = format!("SELECT pid FROM pg_stat_activity WHERE usename = '{user}'");
        self.sql(&pids).lines().map(str::to_owned).collect()
    }

    fn kill(&self, connection: &str) {
        self.sql(&format!("SELECT pg_terminate_backend({connection})"));
    }

    fn sleep(seconds: f32) -> String {
        format!("pg_sleep({seconds}) IS NULL")
    }
}

impl Server for MariaDb {
    fn url(&self) -> String {
        MariaDb::url(self)
    }

    fn socket_url(&self) -> String {
        MariaDb::socket_url(self)
    }

    fn sql(&self, statements: &str) -> String {
        MariaDb::sql(self, statements)
    }

    fn url_of(&self, user: &str) -> String {
        MariaDb::url(self).replace("root@", &format!("{user}@"))
    }

    fn set_password(&self, user: &str, password: &str) {
        self.sql(&format!(
            "CREATE USER IF NOT EXISTS {user}; \
             ALTER USER {user} IDENTIFIED BY '{password}'; GRANT SELECT ON *.* TO {user}"
        ));
    }

    fn connections(&self, user: &str) -> Vec<String> {
        let ids = format!("SELECT id FROM information_schema.processlist WHERE user = '{user}'");
        self.sql(&ids).lines().map(str::to_owned).collect()
    }

    fn kill(&self, connection: &str) {
        self.sql(&format!("KILL {connection}"));
    }

    fn sleep(seconds: f32) -> String {
        format!("SLEEP({seconds}) <> 0")
    }
}

/// A resolver that gives up after five seconds.
fn build(locator: &str, query: &str, options: &[(&str, &str)]) -> Arc<dyn Resolver> {
    let options = [&[("query", query)], options].concat();
    SqlConfig::parse(locator, &options).unwrap().build(Some(Duration::from_secs(5)))
}

pub(super) fn query(key: &str) -> Query {
    Query {
        key: key.into(),
        user: Some("u".into()),
        host: "host".into(),
        path: "/p".into(),
        client: "192.0.2.1".into(),
        ..Query::default()
    }
}

async fn target(resolver: &dyn Resolver, key: &str) -> Result<Option<String>, ResolveError> {
    let answer = resolver.resolve(query(key)).await?;
    Ok(answer.map(|a| a.target.map_or("none".into(), |t| t.to_string())))
}

/// The error of a question, as text.
async fn error(resolver: &dyn Resolver, key: &str) -> String {
    target(resolver, key).await.unwrap_err().to_string()
}
