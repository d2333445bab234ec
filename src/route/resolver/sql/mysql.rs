//! MySQL and MariaDB.

use std::time::Duration;

use sqlx::mysql::{MySqlConnectOptions, MySqlConnection, MySqlDatabaseError, MySqlValueRef};
use sqlx::{ConnectOptions, Connection, Decode, Executor, MySql as Protocol, TypeInfo, ValueRef};

use super::fields::{Fields, Unreadable, bound, decimal, fields, reason, utf8};
use super::server::Server;
use super::{Database, Fault};
use crate::route::resolver::bind::BoundQuery;
use crate::route::resolver::{Query, ResolveError};

/// A server and what it is asked.
pub(super) struct MySql {
    pub(super) server: Server,
    pub(super) query: BoundQuery,
    /// The server, too, gives up a question after this.
    pub(super) limit: Duration,
}

impl Database for MySql {
    type Connection = MySqlConnection;

    fn query(&self) -> &BoundQuery {
        &self.query
    }

    async fn connect(&self) -> Result<MySqlConnection, ResolveError> {
        let mut options: MySqlConnectOptions = self.server.options().await?;
        if let Some(password) = self.server.password().await {
            options = options.password(&password);
        }
        let limit = self.limit.as_millis().max(1);
        // MySQL reads the first comment only, MariaDB the second one only.
        let limit = format!(
            "SET @wsroute = 1 /*!50708 , SESSION max_execution_time = {limit} */ \
             /*M!100101 , SESSION max_statement_time = {limit} / 1000 */"
        );
        let failed = |e: sqlx::Error| self.server.failed(&reason(&e));
        let mut connection = options.connect().await.map_err(failed)?;
        for setting in ["SET SESSION TRANSACTION READ ONLY", &limit] {
            connection.execute(setting).await.map_err(failed)?;
        }
        Ok(connection)
    }

    async fn ask(
        &self,
        connection: &mut MySqlConnection,
        query: &Query,
    ) -> Result<Option<Fields>, Fault> {
        let row = bound(&self.query, query).fetch_optional(connection).await;
        let row = row.map_err(|e| self.fault(&e))?;
        row.map_or(Ok(None), |row| fields(&row, text)).map_err(Fault::Question)
    }

    async fn close(connection: MySqlConnection) {
        let _ = connection.close().await;
    }
}

impl MySql {
    fn fault(&self, error: &sqlx::Error) -> Fault {
        let failed = self.server.failed(&reason(error));
        match error {
            sqlx::Error::Io(_) | sqlx::Error::Protocol(_) => Fault::Worn(failed),
            sqlx::Error::Database(database) => {
                match database.downcast_ref::<MySqlDatabaseError>().number() {
                    // Shutdown, KILL (twice), idle for too long; a statement that is gone or that
                    // no longer fits its table.
                    1053 | 1080 | 1927 | 4031 | 1243 | 1615 => Fault::Worn(failed),
                    // MariaDB's max_statement_time, MySQL's max_execution_time.
                    1969 | 3024 => Fault::Question(ResolveError::Late),
                    _ => Fault::Question(failed),
                }
            }
            _ => Fault::Question(failed),
        }
    }
}

/// The text of a value, times in UTC.
fn text(value: MySqlValueRef<'_>) -> Result<Option<String>, Unreadable> {
    let kind = value.type_info().name().to_owned();
    let unreadable = || Unreadable(format!("of the type {}", kind.to_ascii_lowercase()));
    let text = match kind.as_str() {
        "BOOLEAN" | "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" => {
            number::<i64>(value).ok_or_else(unreadable)?
        }
        "YEAR" | "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED"
        | "INT UNSIGNED" | "BIGINT UNSIGNED" => number::<u64>(value).ok_or_else(unreadable)?,
        "FLOAT" => number::<f32>(value).ok_or_else(unreadable)?,
        "DOUBLE" => number::<f64>(value).ok_or_else(unreadable)?,
        "NULL" | "TIME" | "BIT" | "GEOMETRY" => return Err(unreadable()),
        name => {
            let bytes = <&[u8] as Decode<Protocol>>::decode(value).map_err(|_| unreadable())?;
            match name {
                "DATE" | "DATETIME" | "TIMESTAMP" => moment(bytes).ok_or_else(unreadable)?,
                "DECIMAL" => decimal(&utf8(bytes)?),
                // Padded, as CHAR is with blanks.
                "BINARY" => utf8(bytes)?.trim_end_matches('\0').to_owned(),
                _ => utf8(bytes)?,
            }
        }
    };
    Ok(Some(text))
}

fn number<'r, T: Decode<'r, Protocol> + ToString>(value: MySqlValueRef<'r>) -> Option<String> {
    T::decode(value).ok().map(|number| number.to_string())
}

/// Length, year (two bytes), month, day; then perhaps hour, minute, second; then perhaps
/// microseconds (four bytes).
fn moment(bytes: &[u8]) -> Option<String> {
    let [_, y0, y1, month, day, time @ ..] = bytes else { return None };
    let year = u16::from_le_bytes([*y0, *y1]);
    let ([hour, minute, second], micros) = match time {
        [] => ([0; 3], 0),
        [h, m, s] => ([*h, *m, *s], 0),
        [h, m, s, a, b, c, d] => ([*h, *m, *s], u32::from_le_bytes([*a, *b, *c, *d])),
        _ => return None,
    };
    Some(format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}.{micros:06}"))
}
