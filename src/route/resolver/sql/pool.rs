//! The connections of one resolver: opened when needed, used again, replaced when worn.
//!
//! A pool of its own, because sqlx's waits for a database that refuses connections, and would keep
//! a connection that a cancelled question has left behind.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout};

use super::fields::Fields;
use super::{Database, Fault};
use crate::route::resolver::{Query, ResolveError};

/// A connection that nobody has used for this long is closed: other children may need it more.
const UNUSED: Duration = Duration::from_secs(60);

/// Connections to one database. To be used on one runtime only.
pub(super) struct Pool<D: Database> {
    database: D,
    limit: Duration,
    slots: Semaphore,
    /// The one used last at the end.
    idle: Mutex<Vec<Idle<D::Connection>>>,
}

struct Idle<C> {
    connection: C,
    since: Instant,
}

impl<D: Database> Pool<D> {
    /// At most `connections` at a time; a question takes at most `limit`.
    pub(super) fn new(database: D, connections: u32, limit: Duration) -> Pool<D> {
        let slots = Semaphore::new(connections as usize);
        Pool { database, limit, slots, idle: Mutex::default() }
    }

    /// What the connections lead to.
    pub(super) fn database(&self) -> &D {
        &self.database
    }

    /// Asks on a connection that is there, or on a new one. One that turns out to be worn is
    /// replaced, once.
    pub(super) async fn ask(&self, query: &Query) -> Result<Option<Fields>, ResolveError> {
        let answer = timeout(self.limit, self.ask_without_limit(query)).await;
        answer.unwrap_or_else(|_| {
            // What a silent server or network has done to one connection it did to all.
            self.idle().clear();
            Err(ResolveError::Late)
        })
    }

    /// Closes the connections that nobody has used for a while.
    pub(super) async fn close_unused(&self) {
        let unused = {
            let mut idle = self.idle();
            let count = idle.partition_point(|one| one.since.elapsed() >= UNUSED);
            idle.drain(..count).collect()
        };
        close::<D>(unused).await;
    }

    /// Closes all connections but those in use.
    pub(super) async fn close_idle(&self) {
        let all = std::mem::take(&mut *self.idle());
        close::<D>(all).await;
    }

    async fn ask_without_limit(&self, query: &Query) -> Result<Option<Fields>, ResolveError> {
        let closed = |_| ResolveError::Failed("the resolver is stopping".into());
        let _slot = self.slots.acquire().await.map_err(closed)?;
        let used = self.idle().pop();
        if let Some(Idle { mut connection, .. }) = used {
            match self.database.ask(&mut connection, query).await {
                // The server went away, or the tables changed: the others are no better.
                Err(Fault::Worn(_)) => self.idle().clear(),
                other => return self.give_back(connection, other),
            }
        }
        let mut connection = self.database.connect().await?;
        let answer = self.database.ask(&mut connection, query).await;
        self.give_back(connection, answer)
    }

    fn give_back(
        &self,
        connection: D::Connection,
        answer: Result<Option<Fields>, Fault>,
    ) -> Result<Option<Fields>, ResolveError> {
        let answer = match answer {
            Ok(fields) => Ok(fields),
            Err(Fault::Question(error)) => Err(error),
            Err(Fault::Worn(error)) => return Err(error),
        };
        self.idle().push(Idle { connection, since: Instant::now() });
        answer
    }

    /// Never held over an await; a panic in between leaves nothing half-done.
    fn idle(&self) -> MutexGuard<'_, Vec<Idle<D::Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn close<D: Database>(idle: Vec<Idle<D::Connection>>) {
    for Idle { connection, .. } in idle {
        D::close(connection).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::route::resolver::bind::{BoundQuery, Dialect};
    use crate::route::resolver::sql::sqlite::SqliteFile;
    use crate::route::resolver::sql::tests::query;

    #[tokio::test]
    async fn what_nobody_uses_is_closed() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let database = SqliteFile {
            path: file.path().into(),
            query: BoundQuery::parse("SELECT 'h:1' AS target, :key", Dialect::Sqlite).unwrap(),
            wait: Duration::ZERO,
        };
        let pool = Pool::new(database, 2, Duration::from_secs(5));
        let ask = async || pool.ask(&query("k")).await.unwrap().unwrap();
        tokio::join!(ask(), ask());
        assert_eq!(pool.idle().len(), 2);
        tokio::time::pause();
        tokio::time::advance(UNUSED / 2).await;
        tokio::time::resume();
        // One of them is used again.
        assert_eq!(ask().await, [("target".to_owned(), "h:1".to_owned())]);
        for (later, left) in [(UNUSED / 2, 1), (UNUSED / 2, 0)] {
            tokio::time::pause();
            tokio::time::advance(later).await;
            tokio::time::resume();
            pool.close_unused().await;
            assert_eq!(pool.idle().len(), left);
        }
    }
}
