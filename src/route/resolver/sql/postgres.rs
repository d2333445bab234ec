//! PostgreSQL.

use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgDatabaseError, PgSeverity};
use sqlx::{ConnectOptions, Connection};

use super::fields::{Fields, bound, fields, reason};
use super::server::Server;
use super::{Database, Fault};
use crate::route::resolver::bind::BoundQuery;
use crate::route::resolver::{Query, ResolveError};

mod text;

/// A server and what it is asked.
pub(super) struct Postgres {
    pub(super) server: Server,
    pub(super) query: BoundQuery,
    /// The server, too, gives up a question after this.
    pub(super) limit: Duration,
}

impl Database for Postgres {
    type Connection = PgConnection;

    fn query(&self) -> &BoundQuery {
        &self.query
    }

    async fn connect(&self) -> Result<PgConnection, ResolveError> {
        let mut options: PgConnectOptions = self.server.options().await?;
        if let Some(password) = self.server.password().await {
            options = options.password(&password);
        }
        if options.get_application_name().is_none() {
            options = options.application_name("mod_wsroute");
        }
        let limit = self.limit.as_millis().max(1).to_string();
        // Part of the first message, so that they cost no round trip.
        let settings = [("default_transaction_read_only", "on"), ("statement_timeout", &limit)];
        let options = options.options(settings).extra_float_digits(None);
        options.connect().await.map_err(|e| self.failed(&e))
    }

    async fn ask(
        &self,
        connection: &mut PgConnection,
        query: &Query,
    ) -> Result<Option<Fields>, Fault> {
        let row = bound(&self.query, query).fetch_optional(connection).await;
        let row = row.map_err(|e| self.fault(&e))?;
        row.map_or(Ok(None), |row| fields(&row, text::text)).map_err(Fault::Question)
    }

    async fn close(connection: PgConnection) {
        let _ = connection.close().await;
    }
}

impl Postgres {
    fn fault(&self, error: &sqlx::Error) -> Fault {
        let failed = self.failed(error);
        let Some(database) = as_database(error) else {
            return match error {
                sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Fault::Worn(failed),
                _ => Fault::Question(failed),
            };
        };
        match (database.severity(), database.code()) {
            (PgSeverity::Fatal | PgSeverity::Panic, _) => Fault::Worn(failed),
            // The statement is gone, or its columns are others now. (The message is translated.)
            (_, "26000") => Fault::Worn(failed),
            (_, "0A000") if database.routine() == Some("RevalidateCachedQuery") => {
                Fault::Worn(failed)
            }
            // statement_timeout
            (_, "57014") => Fault::Question(ResolveError::Late),
            _ => Fault::Question(failed),
        }
    }

    fn failed(&self, error: &sqlx::Error) -> ResolveError {
        let reason = reason(error);
        let hint = match as_database(error).map(PgDatabaseError::code) {
            // No such operator, types that do not match, a text that is no number, date, range.
            Some("42883" | "42804" | "22P02" | "22003" | "22007" | "22008") => {
                " (binds are text, so compare texts: id::text = :key)"
            }
            Some("08P01") if reason.contains("startup parameter") => {
                " (pgbouncer needs ignore_startup_parameters = options)"
            }
            Some("42P05") => " (pgbouncer needs pool_mode = session, or max_prepared_statements)",
            _ => "",
        };
        self.server.failed(&format!("{reason}{hint}"))
    }
}

fn as_database(error: &sqlx::Error) -> Option<&PgDatabaseError> {
    error.as_database_error()?.try_downcast_ref()
}
