//! The `sql` resolver: one query with bound parameters, the first row is the answer.
//!
//! `config` reads the directive; `sqlite`, `postgres` and `mysql` know their databases; the
//! connections are in a `pool`, which lives on a `thread` of its own.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use once_cell::sync::OnceCell;

use super::bind::BoundQuery;
use super::{Query, Resolution, ResolveError, Resolver};
use crate::route::answer::Answer;

pub mod config;
mod fields;
mod mysql;
mod pool;
mod postgres;
mod server;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod thread;

pub use config::SqlConfig;

use fields::Fields;
use pool::Pool;
use thread::DatabaseThread;

/// One kind of database: how to connect to it, and to ask the configured query.
trait Database: Send + Sync + 'static {
    /// A connection of this database.
    type Connection: Send + 'static;

    /// The configured query.
    fn query(&self) -> &BoundQuery;

    /// Opens a connection, which cannot write.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, ResolveError>> + Send;

    /// Asks; the fields of the first row. Not cancelled but by dropping the connection as well.
    fn ask(
        &self,
        connection: &mut Self::Connection,
        query: &Query,
    ) -> impl Future<Output = Result<Option<Fields>, Fault>> + Send;

    /// Says goodbye.
    fn close(connection: Self::Connection) -> impl Future<Output = ()> + Send;
}

/// Why a connection gave no answer.
enum Fault {
    /// It is over, or what it has prepared no longer fits: a fresh one may answer.
    Worn(ResolveError),
    /// The question failed; the connection is as good as before.
    Question(ResolveError),
}

/// A database with its connections, which are opened when there is a question.
struct SqlResolver<D: Database> {
    pool: Arc<Pool<D>>,
    thread: OnceCell<DatabaseThread>,
}

impl<D: Database> SqlResolver<D> {
    /// A resolver with at most `connections` connections; a question is given up after `limit`.
    fn new(database: D, connections: u32, limit: Duration) -> SqlResolver<D> {
        let pool = Arc::new(Pool::new(database, connections, limit));
        SqlResolver { pool, thread: OnceCell::new() }
    }
}

impl<D: Database> Resolver for SqlResolver<D> {
    fn resolve(&self, query: Query) -> Resolution {
        let pool = Arc::clone(&self.pool);
        let thread = self.thread.get_or_try_init(|| DatabaseThread::start(Arc::clone(&pool)));
        // The question goes on when nobody waits for it any more, so that its connection is never
        // left in the middle of something.
        let task = thread.map(|thread| thread.spawn(async move { pool.ask(&query).await }));
        Box::pin(async move {
            let failed = |what: String| ResolveError::Failed(format!("the database's {what}"));
            let task = task.map_err(|e| failed(format!("thread did not start: {e}")))?;
            let fields = task.await.map_err(|e| failed(format!("thread failed: {e}")))??;
            fields.map_or(Ok(None), |fields| Answer::from_fields(fields, false))
        })
    }

    fn cache_key(&self, query: &Query) -> Vec<Option<String>> {
        self.pool.database().query().binds.iter().map(|bind| bind.value(query)).collect()
    }
}
