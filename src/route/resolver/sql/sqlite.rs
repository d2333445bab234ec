//! SQLite: a file, opened read-only.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteValueRef};
use sqlx::{ConnectOptions, Connection, Decode, Sqlite, TypeInfo, ValueRef};

use super::fields::{Fields, Unreadable, bound, fields, reason};
use super::{Database, Fault};
use crate::route::resolver::bind::BoundQuery;
use crate::route::resolver::{Query, ResolveError};

/// A database file and what it is asked.
pub(super) struct SqliteFile {
    pub(super) path: PathBuf,
    pub(super) query: BoundQuery,
    /// How long to wait for a writer's lock.
    pub(super) wait: Duration,
}

/// An open database, and which file it is.
pub(super) struct OpenFile {
    file: FileId,
    connection: SqliteConnection,
}

/// Device and inode.
type FileId = (u64, u64);

impl Database for SqliteFile {
    type Connection = OpenFile;

    fn query(&self) -> &BoundQuery {
        &self.query
    }

    async fn connect(&self) -> Result<OpenFile, ResolveError> {
        let file = self.file().await?;
        let options = SqliteConnectOptions::new()
            .filename(&self.path)
            .read_only(true)
            .create_if_missing(false)
            .busy_timeout(self.wait);
        let connection = options.connect().await.map_err(|e| self.error(&e))?;
        Ok(OpenFile { file, connection })
    }

    async fn ask(&self, open: &mut OpenFile, query: &Query) -> Result<Option<Fields>, Fault> {
        // An open connection would answer from a file that was replaced for ever.
        let file = self.file().await.map_err(Fault::Question)?;
        if file != open.file {
            let replaced = format!("sqlite {}: the file was replaced", self.path.display());
            return Err(Fault::Worn(ResolveError::Failed(replaced)));
        }
        // Not kept as a prepared statement: the table may be altered under a long-lived child.
        let sql = bound(&self.query, query).persistent(false);
        let row = sql.fetch_optional(&mut open.connection).await;
        let row = row.map_err(|e| Fault::Question(self.error(&e)))?;
        row.map_or(Ok(None), |row| fields(&row, text)).map_err(Fault::Question)
    }

    async fn close(open: OpenFile) {
        let _ = open.connection.close().await;
    }
}

impl SqliteFile {
    async fn file(&self) -> Result<FileId, ResolveError> {
        let metadata = tokio::fs::metadata(&self.path).await.map_err(|e| {
            ResolveError::Failed(format!("cannot open {}: {e}", self.path.display()))
        })?;
        Ok((metadata.dev(), metadata.ino()))
    }

    fn error(&self, error: &sqlx::Error) -> ResolveError {
        ResolveError::Failed(format!("sqlite {}: {}", self.path.display(), reason(error)))
    }
}

/// By the value's own type; SQLite does not hold a column to its declared one.
fn text(value: SqliteValueRef<'_>) -> Result<Option<String>, Unreadable> {
    let kind = value.type_info().name().to_owned();
    let text = match kind.as_str() {
        "INTEGER" => <i64 as Decode<Sqlite>>::decode(value).map(|n| n.to_string()),
        "REAL" => <f64 as Decode<Sqlite>>::decode(value).map(|n| n.to_string()),
        _ => <String as Decode<Sqlite>>::decode(value),
    };
    text.map(Some).map_err(|_| Unreadable("binary data".into()))
}
