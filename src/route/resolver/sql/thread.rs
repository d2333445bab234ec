//! The thread that the connections of a resolver live on.
//!
//! A socket belongs to the runtime that opened it. Each relay thread has a runtime of its own, and
//! a connection must answer all of them, also while the one that asked first is busy.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use super::Database;
use super::pool::Pool;

/// How often connections that nobody uses are looked for.
const LOOK: Duration = Duration::from_secs(30);
/// How long the goodbyes may take, and then what is left on the thread.
const GOODBYE: Duration = Duration::from_millis(100);

/// A running thread; it ends when this is dropped, which waits for it.
pub(super) struct DatabaseThread {
    runtime: Handle,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl DatabaseThread {
    /// Starts the thread for `pool`. It takes no signals that the calling thread does not take.
    pub(super) fn start<D: Database>(pool: Arc<Pool<D>>) -> io::Result<DatabaseThread> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("wsroute-sql".into()).spawn(move || {
            runtime.block_on(keep(&pool, stopped));
            runtime.shutdown_timeout(GOODBYE);
        })?;
        Ok(DatabaseThread { runtime: handle, stop: Some(stop), thread: Some(thread) })
    }

    /// Runs a task there. It goes on when its handle is dropped.
    pub(super) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> tokio::task::JoinHandle<T> {
        self.runtime.spawn(task)
    }
}

impl Drop for DatabaseThread {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Closes what is not used, and everything at the end.
async fn keep<D: Database>(pool: &Pool<D>, mut stopped: oneshot::Receiver<()>) {
    let mut look = tokio::time::interval(LOOK);
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            _ = look.tick() => pool.close_unused().await,
        }
    }
    let _ = tokio::time::timeout(GOODBYE, pool.close_idle()).await;
}
